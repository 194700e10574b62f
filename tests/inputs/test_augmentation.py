"""Augmentation against pixels moved by hand."""

import keras
import numpy as np
import pytest

from kerastl.data import pipeline
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task

TASK = Task("waves", Image((9, 9, 1)), SingleLabel(("a", "b", "c", "d")))


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (4, 9, 9, 1)).astype("float32")


def transform(pictures, **changes):
    still = {"angle": 0.0, "shift": (0.0, 0.0), "scale": (1.0, 1.0), "shear": 0.0} | changes

    def each(value):
        return np.full(len(pictures), value, "float32")

    arguments = {k: tuple(map(each, v)) if isinstance(v, tuple) else each(v) for k, v in still.items()}
    matrices = augmentation.affine_transforms(pictures.shape[1:3], **arguments)
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


def test_training_changes_pictures_and_inference_does_not(pictures):
    model = augmentation.image_augmentation(
        rotation=0.1, translation=0.1, zoom=0.1, shear=0.1, horizontal_flip=True, erasing=0.5
    )
    assert model is not None
    np.testing.assert_array_equal(model(pictures, training=False), pictures)
    first, second = np.asarray(model(pictures, training=True)), np.asarray(model(pictures, training=True))
    assert first.shape == pictures.shape
    assert not np.allclose(first, pictures)
    assert not np.allclose(first, second)
    assert first.min() >= 0
    assert first.max() <= 255.001


def test_a_shift_alone_is_by_whole_pixels(pictures):
    """Every pixel that comes out is one that went in: nothing is blurred."""
    moved = np.asarray(augmentation.image_augmentation(translation=0.3)(pictures, training=True))
    assert np.isin(moved, np.append(pictures, 0)).all()
    assert not np.array_equal(moved, pictures)
    turned = np.asarray(augmentation.image_augmentation(translation=0.3, rotation=0.01)(pictures, training=True))
    assert not np.isin(turned, np.append(pictures, 0)).all()


def test_called_by_a_pipeline_it_changes_pictures(pictures):
    """Nobody says ``training`` there: the default has to be that of Keras' own random layers."""
    model = augmentation.image_augmentation(rotation=0.1, zoom=0.1)
    split = Split("train", pictures.astype("uint8"), np.zeros(len(pictures), "int32"), TASK)
    ((batch, _),) = pipeline.batches(split, batch_size=len(pictures), augment=model)
    assert np.abs(np.asarray(batch) - pictures).mean() > 1


def test_the_same_seed_gives_the_same_views(pictures):
    views = [
        np.asarray(augmentation.image_augmentation(rotation=0.1, zoom=0.2, seed=5)(pictures, training=True))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*views)
    other = np.asarray(augmentation.image_augmentation(rotation=0.1, zoom=0.2, seed=6)(pictures, training=True))
    assert not np.array_equal(views[0], other)


def test_limits_hold():
    """A single bright pixel at the centre moves no further than the largest shift."""
    pictures = np.zeros((512, 21, 21, 1), "float32")
    pictures[:, 10, 10] = 255
    moved = np.asarray(augmentation.image_augmentation(translation=0.1)(pictures, training=True))[..., 0]
    rows, columns = (
        np.array([(m * np.arange(21)[shape]).sum() / m.sum() for m in moved]) - 10
        for shape in ((slice(None), None), (None, slice(None)))
    )
    for offsets in (rows, columns):
        assert np.abs(offsets).max() <= 2.1 + 1e-3
        assert np.abs(offsets).max() > 1.9
        assert abs(offsets.mean()) < 0.2


def test_nothing_asked_for_is_none():
    assert augmentation.image_augmentation() is None


def test_saves_and_loads(tmp_path, pictures):
    model = augmentation.image_augmentation(rotation=0.1, shear=0.2, seed=3)
    model(pictures, training=True)
    again = keras.Sequential.from_config(model.get_config())
    assert again.layers[0].limits == {"rotation": 0.1, "translation": 0.0, "zoom": 0.0, "shear": 0.2}


def test_outside_of_a_moved_picture_stands_its_mirror_image(pictures):
    moved = augmentation.RandomAffine(translation=0.4, fill="reflect", seed=3)
    answer = np.asarray(moved(pictures))
    for picture, original in zip(answer, pictures, strict=True):
        mirrored = np.pad(original, ((9, 9), (9, 9), (0, 0)), mode="symmetric")
        crops = [mirrored[row : row + 9, column : column + 9] for row in range(19) for column in range(19)]
        assert min(np.abs(picture - crop).max() for crop in crops) < 1e-3
    assert augmentation.RandomAffine.from_config(moved.get_config()).fill == "reflect"


def test_brightness_shifts_and_contrast_stretches_every_picture(pictures):
    grey = 80 + pictures / 4  # nothing reaches the ends of the range
    brighter = augmentation.image_augmentation(brightness=0.2, seed=1)
    steeper = augmentation.image_augmentation(contrast=0.3, seed=1)
    assert brighter is not None
    assert steeper is not None
    change = np.asarray(brighter(grey)) - grey
    np.testing.assert_allclose(change, np.broadcast_to(change[:, :1, :1], change.shape), atol=1e-3)
    assert 0 < np.abs(change).max() <= 0.2 * 255 + 1e-3
    centred = grey - grey.mean((1, 2), keepdims=True)
    factor = (np.asarray(steeper(grey)) - grey.mean((1, 2), keepdims=True)) / np.where(centred == 0, np.nan, centred)
    spread = np.nanmax(factor, axis=(1, 2, 3)) - np.nanmin(factor, axis=(1, 2, 3))
    assert (spread < 1e-2).all()
    assert (np.abs(np.nanmedian(factor, axis=(1, 2, 3)) - 1) <= 0.3 + 1e-3).all()


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
    bytes_out = np.asarray(augmentation.Exposure(0.4, seed=1, dtype="uint8")(bytes_in, training=True))
    assert bytes_out.dtype == np.uint8
    assert (bytes_out[bytes_in > 9] > 0.4 * bytes_in[bytes_in > 9]).all()
    assert np.asarray(light(np.full_like(pictures, 250), training=True)).max() <= 255
    np.testing.assert_array_equal(light(dark, training=False), dark)
    with pytest.raises(ValueError, match=r"share=1\.5"):
        augmentation.image_augmentation(exposure=1.5)


def test_every_picture_is_mixed_with_another_by_its_own_share(pictures):
    """Against NumPy: the only two pictures that explain a mixture, and a share that explains every pixel of it."""
    mix = augmentation.Mixup(1.0, seed=2)
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
    by_hand = augmentation.mixed(pictures, np.float32([1, 0.25, 0, 0.5]).reshape(4, 1, 1, 1), step=3)
    expected = [pictures[0], (pictures[1] + 3 * pictures[0]) / 4, pictures[1], (pictures[3] + pictures[2]) / 2]
    np.testing.assert_allclose(by_hand, expected, rtol=1e-6)


@pytest.mark.parametrize(("alpha", "spread"), [(1.0, 1 / 12), (0.2, 0.25 / 1.4), (8.0, 0.25 / 17)])
def test_shares_are_of_a_beta_distribution(alpha, spread):
    """Of 20,000 pictures, every other one black: Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1))."""
    pictures = np.zeros((20_000, 1, 1, 1), "float32")
    pictures[::2] = 1.0
    found = np.asarray(augmentation.Mixup(alpha, seed=4)(pictures)).ravel()
    mixing = augmentation.Mixup(alpha, seed=5)
    while np.isin(found, (0, 1)).all():  # a step of an even number of places mixes like with like
        found = np.asarray(mixing(pictures)).ravel()
    shares = np.where(np.arange(len(pictures)) % 2, 1 - found, found)
    assert shares.mean() == pytest.approx(0.5, abs=0.012)
    assert shares.var() == pytest.approx(spread, rel=0.04)


def test_a_batch_of_one_is_not_mixed_and_neither_is_inference(pictures):
    model = augmentation.image_augmentation(mixup=1.0, seed=1)
    np.testing.assert_allclose(model(pictures[:1], training=True), pictures[:1], rtol=1e-6)
    np.testing.assert_array_equal(model(pictures, training=False), pictures)
    assert augmentation.Mixup.from_config(augmentation.Mixup(0.3, seed=7).get_config()).alpha == 0.3
    with pytest.raises(ValueError, match=r"alpha above 0\. Received: alpha=0"):
        augmentation.Mixup(0)


def test_a_pipeline_mixes_anew_in_every_epoch_and_the_same_again(pictures):
    split = Split("train", np.repeat(pictures, 8, 0).astype("uint8"), np.arange(32, dtype="int32") // 8, TASK)

    def epochs(first):
        batches = pipeline.batches(
            split, batch_size=8, augment=augmentation.image_augmentation(mixup=1.0, cutout=0.3, seed=3)
        )
        batches.epochs_begun.assign(first)
        return [np.concatenate([np.asarray(batch) for batch, _ in batches]) for _ in range(2)]

    one, two = epochs(0)
    np.testing.assert_array_equal(epochs(1)[0], two)
    assert not np.array_equal(one, two)


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
    assert augmentation.Cutout.from_config(augmentation.Cutout(0.4, seed=2).get_config()).side == 0.4
    with pytest.raises(ValueError, match="side=-1"):
        augmentation.Cutout(-1)


def test_views_inside_of_a_model_are_of_training_alone(pictures):
    image = keras.Input((9, 9, 1), name="image")
    inner = keras.Model(image, keras.layers.Flatten()(image), name="inner")
    model = augmentation.with_augmentation(inner, augmentation.image_augmentation(translation=0.3, cutout=0.4, seed=2))
    np.testing.assert_array_equal(model(pictures, training=False), pictures.reshape(4, 81))
    one, two = (np.asarray(model(pictures, training=True)) for _ in range(2))
    assert not np.array_equal(one, pictures.reshape(4, 81))
    assert not np.array_equal(one, two)
    assert model.get_layer("inner") is inner
    again = keras.models.clone_model(model).get_layer("inner")
    np.testing.assert_array_equal(again(pictures), pictures.reshape(4, 81))


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_rectangle_is_blanked_in_so_many_pictures(share):
    white = np.full((2000, 16, 16, 1), 255, np.float32)
    blanked = (np.asarray(augmentation.image_augmentation(erasing=share)(white, training=True)) == 0).any((1, 2, 3))
    assert blanked.mean() == pytest.approx(share, abs=0.04)
