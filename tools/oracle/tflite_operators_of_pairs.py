#!/usr/bin/env python3
"""Prints test/formats/tflite_operators.tsv: the built-ins of the corpus's TensorFlow Lite files whose outputs are stored.

usage: python tflite_operators_of_pairs.py CORPUS
"""
import collections
import csv
import os
import sys

from ai_edge_litert import schema_py_generated as S

root = os.path.join(sys.argv[1], 'pairs')
names = {v: k for k, v in vars(S.BuiltinOperator).items() if isinstance(v, int)}
files = set()
for row in csv.DictReader(open(os.path.join(root, 'pairs.tsv')), delimiter='\t', quoting=csv.QUOTE_NONE):
    for end in ('source', 'target'):
        if row[end].endswith('.tflite') and row[end + '_outputs']:
            files.add(row[end])
found = collections.Counter()
for path in files:
    m = S.Model.GetRootAs(open(os.path.join(root, path), 'rb').read(), 0)
    codes = [m.OperatorCodes(i) for i in range(m.OperatorCodesLength())]
    found.update({names[max(c.BuiltinCode(), c.DeprecatedBuiltinCode())] for c in codes})
print('# operator, files of the corpus (pairs/*.tflite with stored outputs, see stored_outputs.c) that hold it\n'
      '# (tools/oracle/tflite_operators_of_pairs.py)')
for name in sorted(found):
    if name != 'CUSTOM':
        print('%s\t%d' % (name, found[name]))
