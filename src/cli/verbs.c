/* The table of verbs. */
#include "cli/verb.h"

/* clang-format off */
const struct verb verbs[] = {
    { "inspect", VERB_INSPECT, "MODEL", 1, 1, "what is in a model, and what of it calque can run",
      "Prints the model's inputs and outputs, its operators with counts and whether calque can run each, its parameters "
      "and their bytes, multiply-accumulate operations, and facts of the format: producer, operator sets, quantization. "
      "Weights are not read unless --weights asks for them.",
      verb_inspect_run },
    { "help", VERB_HELP, "[VERB]", 0, 1, "help on a verb", "Prints help on calque or on one verb.", verb_help_run },
    { 0 }
};
/* clang-format on */
