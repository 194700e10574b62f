"""Random layers against pixels moved by hand."""

import keras
import numpy as np
import pytest
import scipy.ndimage

from kerastl.inputs import augmentation, random_layers


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (4, 9, 9, 1)).astype("float32")


def transform(pictures, **changes):
    still = {"angle": 0.0, "shift": (0.0, 0.0), "scale": (1.0, 1.0), "shear": 0.0} | changes

    def each(value):
        return np.full(len(pictures), value, "float32")

    arguments = {k: tuple(map(each, v)) if isinstance(v, tuple) else each(v) for k, v in still.items()}
    matrices = random_layers.affine_transforms(pictures.shape[1:3], **arguments)
    return np.asarray(keras.ops.image.affine_transform(pictures, matrices, interpolation="bilinear"))


def test_no_change_is_the_identity(pictures):
    np.testing.assert_allclose(transform(pictures), pictures, atol=1e-3)


def test_shift_reads_from_pixels_down_and_right(pictures):
    moved = transform(pictures, shift=(2.0, 1.0))
    np.testing.assert_allclose(moved[:, :-2, :-1], pictures[:, 2:, 1:], atol=1e-3)
    assert not moved[:, -2:].any()
    assert not moved[:, :, -1].any()


def test_a_quarter_turn_is_numpys(pictures):
    turned = transform(pictures, angle=np.pi / 2)
    np.testing.assert_allclose(turned, np.rot90(pictures, 1, axes=(1, 2)), atol=1e-2)


def test_scale_two_reads_every_other_pixel(pictures):
    small = transform(pictures, scale=(2.0, 2.0))
    np.testing.assert_allclose(small[:, 2:7, 2:7], pictures[:, ::2, ::2], atol=1e-3)


def test_shear_shifts_rows_by_their_distance_from_the_centre(pictures):
    sheared = transform(pictures, shear=1.0)
    for row in range(9):
        offset = row - 4
        expected = np.zeros((4, 9, 1))
        for column in range(9):
            if 0 <= column + offset < 9:
                expected[:, column] = pictures[:, row, column + offset]
        np.testing.assert_allclose(sheared[:, row], expected, atol=1e-2)


def test_outside_of_a_moved_picture_stands_its_mirror_image(pictures):
    moved = random_layers.RandomAffine(translation=0.4, fill="reflect", seed=3)
    answer = np.asarray(moved(pictures))
    for picture, original in zip(answer, pictures, strict=True):
        mirrored = np.pad(original, ((9, 9), (9, 9), (0, 0)), mode="symmetric")
        crops = [mirrored[row : row + 9, column : column + 9] for row in range(19) for column in range(19)]
        assert min(np.abs(picture - crop).max() for crop in crops) < 1e-3
    assert random_layers.RandomAffine.from_config(moved.get_config()).fill == "reflect"


def test_between_pixels_pictures_are_read_as_scipy_reads_them(pictures):
    places = np.random.default_rng(1).uniform(-3, 12, (4, 9, 9, 2)).astype("float32")  # many of them outside
    read = np.asarray(random_layers.sampled(pictures, places))
    for picture, place, answer in zip(pictures, places, read, strict=True):
        rows_and_columns = np.moveaxis(place[..., ::-1], -1, 0)
        expected = scipy.ndimage.map_coordinates(np.pad(picture[..., 0], 1), rows_and_columns + 1, order=1)
        np.testing.assert_allclose(answer[..., 0], expected, atol=1e-2)


def test_a_picture_is_moved_to_the_same_places_whether_it_is_bent_or_not(pictures):
    matrices = random_layers.affine_transforms(
        (9, 9), angle=np.full(4, 0.3, "float32"), shift=(np.full(4, 1.5, "float32"), np.full(4, -2.0, "float32")),
        scale=(np.full(4, 1.2, "float32"), np.full(4, 0.8, "float32")), shear=np.full(4, 0.1, "float32"),
    )  # fmt: skip
    kerass = np.asarray(keras.ops.image.affine_transform(pictures, matrices, interpolation="bilinear"))
    ours = np.asarray(random_layers.sampled(pictures, random_layers.positions(matrices, (9, 9))))
    np.testing.assert_allclose(ours, kerass, atol=1e-2)


def test_an_elastic_distortion_bends_smoothly_and_every_picture_otherwise():
    """Of a picture whose pixels say which column, or row, they are in, one reads where each was read from."""
    ramp = np.broadcast_to(np.arange(40, dtype="float32")[:, None, None], (64, 40, 40, 1))
    rows = np.asarray(random_layers.RandomAffine(elastic=0.05, seed=1)(ramp))[..., 0] - ramp[..., 0]
    columns = np.asarray(random_layers.RandomAffine(elastic=0.05, seed=1)(ramp.swapaxes(1, 2)))[..., 0]
    shifts = np.stack([rows, columns - ramp.swapaxes(1, 2)[..., 0]])[:, :, 8:-8, 8:-8]  # the rim may read black
    assert 0.6 * 2 < shifts.std() < 1.1 * 2, "2 pixels at the points, less between them"
    assert np.diff(shifts, axis=-1).std() < 0.35 * shifts.std(), "of neighbors that know nothing of each other 1.4"
    assert abs(np.corrcoef(shifts[0].ravel(), shifts[1].ravel())[0, 1]) < 0.15
    assert shifts.std(axis=(1, 2, 3)).min() > 1, "the pictures differ, and each within itself"
    assert shifts.std(axis=(2, 3)).min() > 0.2


def test_an_elastic_distortion_keeps_its_settings_and_wants_black_around():
    layer = random_layers.RandomAffine(elastic=0.02, rotation=0.1, seed=5)
    assert random_layers.RandomAffine.from_config(layer.get_config()).elastic == 0.02
    with pytest.raises(ValueError, match="Outside of a bent picture is black"):
        random_layers.RandomAffine(elastic=0.02, fill="reflect")


def test_light_of_another_strength_leaves_black_black(pictures):
    """One factor a picture, of which no two are alike; what would be brighter than white is white."""
    dark = pictures / 2
    dark[:, 0, 0] = 0
    light = augmentation.image_augmentation(exposure=0.4, seed=1)
    assert light is not None
    answer = np.asarray(light(dark, training=True))
    factors = (answer / np.where(dark == 0, np.nan, dark)).reshape(len(dark), -1)
    spread = np.nanmax(factors, axis=1) - np.nanmin(factors, axis=1)
    assert (spread < 1e-3).all()
    assert (np.abs(np.nanmean(factors, axis=1) - 1) <= 0.4 + 1e-3).all()
    assert len(np.unique(np.nanmean(factors, axis=1).round(3))) == len(dark)
    assert not answer[dark == 0].any()
    bytes_in = pictures.astype("uint8")
    bytes_out = np.asarray(random_layers.Exposure(0.4, seed=1, dtype="uint8")(bytes_in, training=True))
    assert bytes_out.dtype == np.uint8
    assert (bytes_out[bytes_in > 9] > 0.4 * bytes_in[bytes_in > 9]).all()
    assert np.asarray(light(np.full_like(pictures, 250), training=True)).max() <= 255
    np.testing.assert_array_equal(light(dark, training=False), dark)
    with pytest.raises(ValueError, match=r"share=1\.5"):
        augmentation.image_augmentation(exposure=1.5)


def test_every_picture_is_mixed_with_another_by_its_own_share(pictures):
    """Against NumPy: the only two pictures that explain a mixture, and a share that explains every pixel of it."""
    mix = random_layers.Mixup(1.0, seed=2)
    partners = set()
    for _ in range(20):
        answer = np.asarray(mix(pictures))
        for place, picture in enumerate(answer):
            fits = []
            for other in range(len(pictures)):
                if other == place:
                    continue
                distance = pictures[place] - pictures[other]
                share = ((picture - pictures[other]) * distance).sum() / (distance**2).sum()
                off = np.abs(share * pictures[place] + (1 - share) * pictures[other] - picture).max()
                if off < 1e-2 and 0 <= share <= 1:
                    fits.append((other - place) % len(pictures))
            assert len(fits) == 1
            partners.add(fits[0])
    assert partners == {1, 2, 3}, "all the others come up"
    by_hand = random_layers.mixed(pictures, np.float32([1, 0.25, 0, 0.5]).reshape(4, 1, 1, 1), step=3)
    expected = [pictures[0], (pictures[1] + 3 * pictures[0]) / 4, pictures[1], (pictures[3] + pictures[2]) / 2]
    np.testing.assert_allclose(by_hand, expected, rtol=1e-6)


@pytest.mark.parametrize(("alpha", "spread"), [(1.0, 1 / 12), (0.2, 0.25 / 1.4), (8.0, 0.25 / 17)])
def test_shares_are_of_a_beta_distribution(alpha, spread):
    """Of 20,000 pictures, every other one black: Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1))."""
    pictures = np.zeros((20_000, 1, 1, 1), "float32")
    pictures[::2] = 1.0
    found = np.asarray(random_layers.Mixup(alpha, seed=4)(pictures)).ravel()
    mixing = random_layers.Mixup(alpha, seed=5)
    while np.isin(found, (0, 1)).all():  # a step of an even number of places mixes like with like
        found = np.asarray(mixing(pictures)).ravel()
    shares = np.where(np.arange(len(pictures)) % 2, 1 - found, found)
    assert shares.mean() == pytest.approx(0.5, abs=0.012)
    assert shares.var() == pytest.approx(spread, rel=0.04)


def test_a_batch_of_one_is_not_mixed_and_neither_is_inference(pictures):
    model = augmentation.image_augmentation(mixup=1.0, seed=1)
    np.testing.assert_allclose(model(pictures[:1], training=True), pictures[:1], rtol=1e-6)
    np.testing.assert_array_equal(model(pictures, training=False), pictures)
    assert random_layers.Mixup.from_config(random_layers.Mixup(0.3, seed=7).get_config()).alpha == 0.3
    with pytest.raises(ValueError, match=r"alpha above 0\. Received: alpha=0"):
        random_layers.Mixup(0)


def test_cutout_blanks_one_square_a_picture():
    pictures = np.full((400, 20, 30, 2), 9.0, "float32")
    blanked = np.asarray(augmentation.image_augmentation(cutout=0.2, seed=1)(pictures, training=True))
    assert set(np.unique(blanked)) == {0.0, 9.0}
    rows, columns = set(), set()
    for picture in blanked:
        np.testing.assert_array_equal(picture[..., 0], picture[..., 1])
        down, across = np.any(picture[..., 0] == 0, 1), np.any(picture[..., 0] == 0, 0)
        np.testing.assert_array_equal(picture[..., 0] == 0, down[:, None] & across)
        assert 2 <= down.sum() <= 4, "four of twenty rows, fewer at the edge"
        assert 3 <= across.sum() <= 6
        rows.add(int(np.flatnonzero(down)[0]))
        columns.add(int(np.flatnonzero(across)[0]))
    assert len(rows) > 10
    assert len(columns) > 15
    np.testing.assert_array_equal(augmentation.image_augmentation(cutout=0.2)(pictures, training=False), pictures)
    assert random_layers.Cutout.from_config(random_layers.Cutout(0.4, seed=2).get_config()).side == 0.4
    with pytest.raises(ValueError, match="side=-1"):
        random_layers.Cutout(-1)


def test_a_crop_is_a_part_of_the_picture_and_is_anywhere_in_it():
    """A picture that says where its pixels are: what comes out says which part was read."""
    size = 32
    where = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1)
    pictures = np.tile(where.astype("float32"), (400, 1, 1, 1))
    seen = np.asarray(random_layers.RandomAffine(crop=0.5, seed=1)(pictures + 1)) - 1  # black is outside
    first, last = seen[:, 0, 0], seen[:, -1, -1]  # row and column of two corners
    sides = (last - first) / (size - 1)
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], atol=1e-3)
    assert 0.5 <= sides.min() < 0.53
    assert 0.97 < sides.max() <= 1.001
    assert seen.min() >= -1e-3
    small = sides[:, 0] < 0.6
    assert first[small].min() < 2
    assert last[small].max() > size - 3


def test_colours_turn_and_fade():
    third = np.full(1, 2 * np.pi / 3, "float32")
    one = np.ones(1, "float32")
    np.testing.assert_allclose(
        random_layers.color_matrices(angle=third, saturation=one)[0], [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-6
    )  # red becomes green
    np.testing.assert_allclose(random_layers.color_matrices(angle=0 * one, saturation=one)[0], np.eye(3), atol=1e-6)
    pixels = np.random.default_rng(0).uniform(0, 255, (200, 1, 1, 3)).astype("float32")
    grey = np.asarray(random_layers.ColorJitter(grayscale=1.0)(pixels))
    np.testing.assert_allclose(grey, np.repeat(pixels @ np.array([[0.299], [0.587], [0.114]]), 3, -1), rtol=1e-5)
    some = np.asarray(random_layers.ColorJitter(grayscale=0.3, seed=2)(pixels))
    assert (np.ptp(some, axis=-1) < 1e-3).mean() == pytest.approx(0.3, abs=0.1)
    turned = np.asarray(random_layers.ColorJitter(hue=0.05, saturation=0.3, seed=2)(64 + pixels / 2))
    assert np.abs(turned - 64 - pixels / 2).max() > 5
    assert turned.min() >= 0
    assert turned.max() <= 255
    np.testing.assert_array_equal(random_layers.ColorJitter(hue=0.5)(pixels[..., :1]), pixels[..., :1])
    np.testing.assert_array_equal(random_layers.ColorJitter(hue=0.5)(pixels, training=False), pixels)
    for shares in ({"hue": 1.5}, {"saturation": -0.1}):
        with pytest.raises(ValueError, match="shares of 0 to 1"):
            random_layers.ColorJitter(**shares)
    assert random_layers.ColorJitter.from_config(random_layers.ColorJitter(hue=0.5).get_config()).shares["hue"] == 0.5
