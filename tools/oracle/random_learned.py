"""ai.onnx.ml: features, linear models, support vectors, trees."""
import numpy as np
from random_ops import *

ML = "ai.onnx.ml"
F = np.dtype(np.float32)
POSTS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"]


def floats(r, n, low=-1.5, high=1.5):
    return [small_float(r, low, high) for _ in range(n)]


def matrix(r, columns, t=F):
    return data(r, t, [ri(r, 1, 3), columns])


@op("Scaler", domain=ML)
def scaler(r, name):
    n = ri(r, 1, 4)
    t = pick(r, [F, np.dtype(np.float64), np.dtype(np.int32), np.dtype(np.int64)])
    return case([matrix(r, n, t)], offset=floats(r, pick(r, [1, n])), scale=floats(r, pick(r, [1, n])))


@op("Normalizer", domain=ML)
def normalizer(r, name):
    return case([data(r, pick(r, [F, np.dtype(np.float64), np.dtype(np.int64)]), [ri(r, 1, 3), ri(r, 1, 4)], 0.1, 3)],
                norm=pick(r, ["MAX", "L1", "L2"]))


@op("Binarizer", domain=ML)
def binarizer(r, name):
    return case([matrix(r, 3)], threshold=maybe(r, 0.25))


@op("Imputer", domain=ML)
def imputer(r, name):
    n = ri(r, 1, 3)
    if flag(r):
        x = np.array(matrix(r, n))
        x.reshape(-1)[0] = np.nan
        return case([x], imputed_value_floats=floats(r, pick(r, [1, n])), replaced_value_float=float("nan"))
    return case([matrix(r, n, np.dtype(np.int64))], imputed_value_int64s=[int(v) for v in r.integers(0, 9, pick(r, [1, n]))],
                replaced_value_int64=ri(r, -2, 2))


@op("ArrayFeatureExtractor", domain=ML)
def extractor(r, name):
    n = ri(r, 1, 4)
    t = pick(r, [F, np.dtype(np.int64), np.dtype(object)])
    return case([data(r, t, [ri(r, 1, 3), n]), i64(r.integers(0, n, ri(r, 1, 3)))])


@op("LabelEncoder", domain=ML)
def label_encoder(r, name):
    words, numbers = ["a", "Bc", "12"], [3, 5, 7]
    x = data(r, np.object_, shape(r, 1, 2, 3, zero=0))
    if flag(r):
        return case([x], keys_strings=words, values_int64s=numbers, default_int64=maybe(r, -7))
    if flag(r):
        return case([x], keys_strings=words, values_floats=[0.5, 1.5, 2.5], default_float=maybe(r, 9.5))
    return case([np.asarray(r.integers(2, 8, [4])).astype(np.int64)], keys_int64s=numbers, values_strings=words, default_string=maybe(r, "none"))


@op("OneHotEncoder", domain=ML)
def one_hot(r, name):
    if flag(r):
        return case([data(r, np.object_, shape(r, 1, 2, 3, zero=0))], cats_strings=["a", "Bc", "", "a b", "12", "déjà"], zeros=maybe(r, 1))
    return case([np.asarray(r.integers(0, 3, shape(r, 1, 2, 3, zero=0))).astype(np.int64)], cats_int64s=[0, 1, 2, 5], zeros=maybe(r, ri(r, 0, 1)))


@op("LinearRegressor", domain=ML)
def linear_regressor(r, name):
    n, targets = ri(r, 1, 3), ri(r, 1, 3)
    return case([matrix(r, n)], coefficients=floats(r, n * targets), intercepts=maybe(r, floats(r, targets)), targets=targets,
                post_transform=maybe(r, pick(r, POSTS if targets > 1 else ["NONE"])))


@op("LinearClassifier", domain=ML)
def linear_classifier(r, name):
    n, classes = ri(r, 1, 3), ri(r, 2, 4)
    rows = 1 if classes == 2 and flag(r) else classes
    labels = {"classlabels_strings": ["x", "y", "z", "w"][:classes]} if flag(r) else {"classlabels_ints": [4, 2, 9, 7][:classes]}
    return case([matrix(r, n)], 2, coefficients=floats(r, n * rows), intercepts=floats(r, rows), multi_class=0,
                post_transform=pick(r, POSTS if rows > 1 else ["NONE", "LOGISTIC"]), **labels)


def kernel(r):
    kind = pick(r, ["LINEAR", "RBF", "POLY", "SIGMOID"])
    return {"kernel_type": kind, "kernel_params": [0.5, 0.25, 2.0]}


@op("SVMRegressor", domain=ML)
def svm_regressor(r, name):
    n, supports = ri(r, 1, 3), ri(r, 1, 4)
    return case([matrix(r, n)], coefficients=floats(r, supports), support_vectors=floats(r, supports * n), n_supports=supports, rho=floats(r, 1),
                one_class=maybe(r, ri(r, 0, 1)), **kernel(r))


@op("SVMClassifier", domain=ML)
def svm_classifier(r, name):
    n, classes = ri(r, 1, 3), ri(r, 2, 3)
    per = [ri(r, 1, 2) for _ in range(classes)]
    supports = sum(per)
    pairs = classes * (classes - 1) // 2
    prob = {"prob_a": floats(r, pairs, -2, -0.5), "prob_b": floats(r, pairs)} if flag(r) else {}
    return case([matrix(r, n)], 2, coefficients=floats(r, supports * (classes - 1)), support_vectors=floats(r, supports * n), vectors_per_class=per,
                rho=floats(r, pairs), classlabels_ints=[3, 1, 8][:classes], post_transform=pick(r, ["NONE", "NONE", "SOFTMAX", "LOGISTIC"]),
                **prob, **kernel(r))


def trees(r, features, prefix, outputs):
    """Attributes of a few random trees of depth at most 2."""
    a = {k: [] for k in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes", "nodes_truenodeids",
                         "nodes_falsenodeids", "nodes_missing_value_tracks_true")}
    leaves = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for t in range(ri(r, 1, 3)):
        modes = [pick(r, ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ"]) for _ in range(2)]
        rows = [(modes[0], 1, 2), (modes[1], 3, 4), ("LEAF", 0, 0), ("LEAF", 0, 0), ("LEAF", 0, 0)]
        for i, (mode, yes, no) in enumerate(rows):
            values = [t, i, ri(r, 0, features - 1), pick(r, [0.0, 0.5, -0.5]), mode, yes, no, ri(r, 0, 1)]
            for k, v in zip(a, values):
                a[k].append(v)
            for _ in range(ri(r, 1, 2) if mode == "LEAF" else 0):
                for k, v in zip(leaves, [t, i, ri(r, 0, outputs - 1), small_float(r)]):
                    leaves[k].append(v)
    return {**a, **{f"{prefix}_{k}": v for k, v in leaves.items()}}


@op("TreeEnsembleRegressor", domain=ML)
def tree_regressor(r, name):
    n, targets = ri(r, 1, 3), ri(r, 1, 3)
    x = np.round(matrix(r, n) * 2).astype(F) / 2
    return case([x], n_targets=targets, aggregate_function=maybe(r, pick(r, ["SUM", "AVERAGE", "MIN", "MAX"])),
                base_values=maybe(r, floats(r, targets)), post_transform=maybe(r, pick(r, ["NONE", "SOFTMAX", "LOGISTIC"] if targets > 1 else ["NONE"])),
                **trees(r, n, "target", targets))


@op("TreeEnsembleClassifier", domain=ML)
def tree_classifier(r, name):
    n, classes = ri(r, 1, 3), ri(r, 3, 4)
    x = np.round(matrix(r, n) * 2).astype(F) / 2
    labels = {"classlabels_strings": ["x", "y", "z", "w"][:classes]} if flag(r) else {"classlabels_int64s": [4, 2, 9, 7][:classes]}
    return case([x], 2, base_values=maybe(r, floats(r, classes)), post_transform=maybe(r, pick(r, ["NONE", "SOFTMAX", "LOGISTIC"])), **labels,
                **trees(r, n, "class", classes))


@op("FeatureVectorizer", domain=ML)
def vectorizer(r, name):
    rows, sizes = ri(r, 1, 2), [ri(r, 1, 3) for _ in range(2)]
    t = pick(r, [F, np.dtype(np.float64), np.dtype(np.int64)])
    return case([data(r, t, [rows, s]) for s in sizes], inputdimensions=sizes)


@op("CategoryMapper", domain=ML)
def mapper(r, name):
    cats = {"cats_strings": ["a", "Bc", "12"], "cats_int64s": [1, 2, 3]}
    if flag(r):
        return case([data(r, np.object_, [4])], default_int64=maybe(r, -5), **cats)
    return case([np.asarray(r.integers(0, 5, [4])).astype(np.int64)], default_string=maybe(r, "other"), **cats)
