/* The table of verbs. */
#include "cli/verb.h"

/* clang-format off */
const struct verb verbs[] = {
    { "inspect", VERB_INSPECT, "MODEL", 1, 1, "what is in a model, and what of it calque can run",
      "Prints the model's inputs and outputs, its operators with counts and whether calque can run each, its parameters "
      "and their bytes, multiply-accumulate operations, and facts of the format: producer, operator sets, quantization. "
      "Weights are not read unless --weights asks for them.",
      verb_inspect_run },
    { "run", VERB_RUN, "MODEL", 1, 1, "what a model computes",
      "Runs the model and prints a table of its outputs: shape, least, greatest and mean value. Without --inputs it makes "
      "its own, from a seed. -o writes the outputs to an .npz keyed by their names; --value and --all-values add "
      "intermediate values.",
      verb_run_run },
    { "compare", VERB_COMPARE, "SOURCE TARGET", 2, 2, "are two models the same function, and where do they stop being it",
      "Runs both models in float64, finds which values correspond whatever they are called and however they are laid out, and "
      "says where the target departs from the source. Exit 0: the same function; 1: different; 3: it could not be decided.",
      verb_compare_run },
    { "locate", VERB_LOCATE, "SOURCE TARGET", 2, 2, "which node is wrong, from which cause, on what evidence",
      "Feeds every node of the target the source's values, so that each shows its own error and not what it inherited; "
      "then replays the fixes that might explain it. One paragraph for each fault: where, what, evidence, fix.",
      verb_locate_run },
    { "repair", VERB_REPAIR, "SOURCE TARGET -o FIXED", 2, 2, "write the corrected target, proved on fresh inputs",
      "Locates the faults, applies their fixes to the target's file and writes it to FIXED; everything that is not part of "
      "the repair stays as it was. The result is read back and proved on inputs that were not used to find the faults. When "
      "the proof fails nothing is written and the exit code is 1. The inputs are never overwritten.",
      verb_repair_run },
    { "explain", VERB_EXPLAIN, "[CAUSE]", 0, 1, "what a cause is, how it arises, how it is fixed",
      "Explains a cause that locate names. Without CAUSE it lists them all.",
      verb_explain_run },
    { "help", VERB_HELP, "[VERB]", 0, 1, "help on a verb", "Prints help on calque or on one verb.", verb_help_run },
    { 0 }
};
/* clang-format on */
