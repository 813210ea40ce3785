#!/usr/bin/env python3
"""Writes test/ops/learned_cases.txt: the operators of ai.onnx.ml and ONNX Runtime's quantized operators with ONNX Runtime's
answers, in the form that operator_cases.py describes (S: a list of texts).

usage: learned_cases.py OUT      needs numpy, onnx, onnxruntime (requirements-onnx.txt)

Scales are such that no quotient lies near a tie, which float32 and float64 would round apart.
"""
import sys

import numpy as np

from stored_cases import MS, Writer

writer = Writer(sys.argv[1], 11)
rng, real, case = writer.rng, writer.real, writer.case


def reals(n):
    return [float(v) for v in real(n)]


def trees(n_trees, targets):
    nodes = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    votes = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for t in range(n_trees):
        for n in range(7):
            leaf = n >= 3
            row = (t, n, 0 if leaf else int(rng.integers(3)), 0.0 if leaf else float(real(1)[0]),
                   "LEAF" if leaf else ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"][int(rng.integers(4))],
                   0 if leaf else 2 * n + 1, 0 if leaf else 2 * n + 2)
            for k, v in zip(nodes, row):
                nodes[k].append(v)
            for target in targets(t) if leaf else []:
                for k, v in zip(votes, (t, n, target, float(real(1)[0]))):
                    votes[k].append(v)
    return {f"nodes_{k}": v for k, v in nodes.items()}, votes


def ensembles():
    x = real(6, 3)
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        nodes, votes = trees(3, lambda t: [t])
        case("TreeEnsembleClassifier", [x], 2, post_transform=post, classlabels_int64s=[10, 11, 12], base_values=reals(3),
             **nodes, **{f"class_{k}": v for k, v in votes.items()})
        nodes, votes = trees(2, lambda t: [0, 1])
        for how in ("SUM", "AVERAGE", "MIN", "MAX"):
            case("TreeEnsembleRegressor", [x], post_transform=post, aggregate_function=how, n_targets=2, base_values=[0.1, 0.2],
                 **nodes, **{f"target_{k}": v for k, v in votes.items()})
    for post in ("NONE", "LOGISTIC"):
        nodes, votes = trees(3, lambda t: [0])
        case("TreeEnsembleClassifier", [x], 2, post_transform=post, classlabels_strings=["no", "yes"], **nodes,
             **{f"class_{k}": v for k, v in votes.items()})


def linear():
    x = real(5, 3)
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        case("LinearClassifier", [x], 2, post_transform=post, coefficients=reals(9), intercepts=reals(3),
             classlabels_ints=[7, 8, 9])
        case("LinearRegressor", [x], post_transform=post, coefficients=reals(6), intercepts=reals(2), targets=2)
    for post in ("NONE", "LOGISTIC"):
        case("LinearClassifier", [x], 2, post_transform=post, coefficients=reals(3), intercepts=reals(1),
             classlabels_strings=["a", "b"])
    for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        common = {"kernel_type": kernel, "kernel_params": [0.5, 0.25, 2.0]}
        case("SVMRegressor", [x], coefficients=reals(4), support_vectors=reals(12), n_supports=4, rho=[0.2], **common)
        case("SVMRegressor", [x], coefficients=reals(4), support_vectors=reals(12), n_supports=4, rho=[0.2], one_class=1,
             **common)
        for extra in ({}, {"prob_a": [-1.0, -1.25, -0.75], "prob_b": [0.125, 0.25, 0.375]}):
            case("SVMClassifier", [x], 2, coefficients=reals(12), support_vectors=reals(18), vectors_per_class=[2, 3, 1],
                 rho=reals(3), classlabels_ints=[4, 5, 6], **common, **extra)
        case("SVMClassifier", [x], 2, coefficients=reals(6), support_vectors=reals(18), vectors_per_class=[2, 4], rho=reals(1),
             classlabels_ints=[4, 5], post_transform="LOGISTIC", **common)


def features():
    x, whole = real(4, 3), rng.integers(-3, 3, size=(4, 3))
    texts = np.array([["a", "b"], ["c", "zz"]], dtype=object)
    for norm in ("MAX", "L1", "L2"):
        case("Normalizer", [x], norm=norm)
        case("Normalizer", [whole], norm=norm)
    case("Scaler", [x], offset=[0.1, 0.2, 0.3], scale=[2.0, 3.0, 4.0])
    case("Scaler", [whole], offset=[0.1], scale=[2.0])
    holes = x.copy()
    holes[1, 1] = np.nan
    case("Imputer", [holes], imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=float("nan"))
    case("Imputer", [whole], imputed_value_int64s=[7], replaced_value_int64=1)
    case("FeatureVectorizer", [x, x[:, :2]], inputdimensions=[3, 2])
    case("CategoryMapper", [texts], cats_strings=["a", "c"], cats_int64s=[5, 6], default_int64=-9)
    case("CategoryMapper", [whole], cats_strings=["a", "c"], cats_int64s=[1, 2], default_string="?")
    case("OneHotEncoder", [whole], cats_int64s=[1, 2, -1])
    case("OneHotEncoder", [texts], cats_strings=["a", "c"])


def quantized():
    f = np.float32
    for kind, low in ((np.uint8, 0), (np.int8, -128)):
        def values(*shape):
            return rng.integers(low, low + 256, size=shape).astype(kind)

        def zero(v):
            return np.array(v, kind)
        one = [np.array(0.0317, f), zero(3)]
        pair = [values(2, 3), np.array(0.1171, f), zero(3), values(3), np.array(0.0713, f), zero(1)]
        case("QLinearAdd", pair + [np.array(0.2137, f), zero(5)], domain=MS)
        case("QLinearMul", pair + [np.array(0.5309, f), zero(5)], domain=MS)
        case("QLinearWhere", [np.array([True, False, True])] + pair + [np.array(0.2137, f), zero(5)], domain=MS)
        case("QLinearSigmoid", [values(2, 8)] + one + [np.array(1 / 256, f), zero(0)], domain=MS)
        case("QLinearLeakyRelu", [values(2, 8)] + one + [np.array(0.0213, f), zero(1)], domain=MS, alpha=0.13)
        case("QLinearSoftmax", [values(2, 8)] + one + [np.array(1 / 256, f), zero(0)], domain=MS, axis=-1, opset=13)
        case("QLinearAveragePool", [values(1, 2, 4, 4)] + one + [np.array(0.0213, f), zero(1)], domain=MS, kernel_shape=[3, 3],
             strides=[2, 2], pads=[1, 1, 1, 1])
        case("QLinearGlobalAveragePool", [values(1, 2, 4, 4)] + one + [np.array(0.0213, f), zero(1)], domain=MS)
        case("QLinearConcat", [np.array(0.0213, f), zero(1), values(2, 3)] + one + [values(2, 2), np.array(0.0117, f), zero(0)], domain=MS, axis=1)
    a, b = rng.integers(0, 256, size=(3, 4)).astype(np.uint8), rng.integers(-128, 128, size=(4, 5)).astype(np.int8)
    rest = [np.array(1, np.int8), real(5)]
    case("MatMulIntegerToFloat", [a, b, np.array(0.1, f), np.array(0.02, f), np.array(7, np.uint8)] + rest, domain=MS)
    case("DynamicQuantizeMatMul", [real(3, 4), b, np.array(0.02, f)] + rest, domain=MS)
    weights, scales = rng.integers(0, 256, size=(6, 3, 8)).astype(np.uint8), np.abs(real(18))
    zeros = rng.integers(0, 256, size=12).astype(np.uint8)
    for extra in ([], [zeros]):
        case("MatMulNBits", [real(2, 40), weights, scales] + extra, domain=MS, K=40, N=6, bits=4, block_size=16)


ensembles()
linear()
features()
quantized()
