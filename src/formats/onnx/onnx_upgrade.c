/* Old operator versions become the newest meaning. */
#include "formats/onnx/onnx.h"

enum status onnx_upgrade(struct onnx_reader *r, struct node *n) {
    n->id = n->graph->n_nodes;
    PUSH(r->a, n->graph->nodes, n->graph->n_nodes, n);
    return OK;
}
