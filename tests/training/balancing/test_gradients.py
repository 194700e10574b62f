"""Products and cosines of gradients against NumPy."""

import numpy as np

from kerastl.training.balancing import gradients


def test_products_and_cosines():
    draw = np.random.default_rng(0)
    each = [[draw.normal(size=(3, 2)).astype("float32"), draw.normal(size=2).astype("float32")] for _ in range(3)]
    flat = np.stack([np.concatenate([part.ravel() for part in one]) for one in each]).astype("float64")
    products = gradients.products(each)
    np.testing.assert_allclose(products, flat @ flat.T, rtol=1e-5)
    lengths = np.linalg.norm(flat, axis=1)
    np.testing.assert_allclose(gradients.cosines(products), flat @ flat.T / np.outer(lengths, lengths), atol=1e-6)
    nothing = gradients.cosines(gradients.products([[np.zeros(2, "float32")], [np.ones(2, "float32")]]))
    np.testing.assert_allclose(nothing, [[0, 0], [0, 1]], atol=1e-6)
