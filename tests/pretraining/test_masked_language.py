"""Masked language modelling: which words are hidden and by what, and the loss of those, against NumPy."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
import toy_pieces

from kerastl.pretraining import masked_language

WORDS = [f"w{number}" for number in range(40)]
PIECES = [f"##p{number}" for number in range(40)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *PIECES]
PAD, UNKNOWN, START, END, MASK = range(5)


def sentences(number=400, length=24):
    """Words of one, two and three pieces, an unknown one here and there, and padding."""
    generator = np.random.default_rng(0)
    ids = np.full((number, length), PAD)
    for row in ids:
        tokens = [START]
        for _ in range(generator.integers(1, 9)):
            tokens.append(generator.integers(5, 45) if generator.random() > 0.05 else UNKNOWN)
            tokens += list(generator.integers(45, 85, generator.integers(0, 3))) if tokens[-1] != UNKNOWN else []
        tokens = [*tokens[: length - 1], END]
        row[: len(tokens)] = tokens
    return ids


def hide(ids, seed=(1, 2), **options):
    found = masked_language.mask_words(tf.constant(ids), VOCABULARY, seed=seed, **options)
    return masked_language.Masked(*(np.asarray(one) for one in found))


def words_of(row):
    """Places of each word's pieces."""
    found = []
    for place, token in enumerate(row):
        if token >= 45 and found and found[-1][-1] == place - 1:
            found[-1].append(place)
        elif token >= 5:
            found.append([place])
    return found


def test_whole_words_are_hidden_and_nothing_else():
    ids = sentences()
    found = hide(ids)
    np.testing.assert_array_equal(found.labels, ids)
    assert not found.mask[ids < 5].any()
    np.testing.assert_array_equal(found.ids[~found.mask], ids[~found.mask])
    np.testing.assert_array_equal(found.mask.any(1), (ids >= 5).any(1))  # one word at least, where there is one
    number = 0
    for row, mask in zip(ids, found.mask, strict=True):
        for word in words_of(row):
            number += 1
            assert len(set(mask[word])) == 1, "a part of a word is hidden"
    assert number > 1500


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_share_is_of_words(share):
    ids = np.tile(np.array([[START, *([7, 50] * 60), END]]), (300, 1))  # so long that one at least changes nothing
    found = hide(ids, share=share)
    assert found.mask[:, 1:-1].mean() == pytest.approx(share, abs=0.012)  # 18,000 words: four standard deviations


def test_of_hidden_tokens_eight_in_ten_are_masked_one_another_one_the_same():
    ids = np.tile(np.array([[START, *range(5, 85), END]]), (600, 1))
    found = hide(ids, share=0.5)
    hidden, were = found.ids[found.mask], ids[found.mask]
    assert len(hidden) > 15_000
    other = (hidden != MASK) & (hidden != were)
    assert (hidden == MASK).mean() == pytest.approx(0.8, abs=0.013)
    assert other.mean() == pytest.approx(0.1 * 79 / 80, abs=0.01)  # one draw in eighty is the token itself
    assert (hidden[hidden != MASK] >= 5).all()  # no special token stands for a word
    assert set(hidden[other]) == set(range(5, 85))
    counts = np.bincount(hidden[other] - 5)
    assert counts.max() < 3 * counts.mean()


def test_pieces_of_a_word_draw_their_replacements_by_themselves():
    found = hide(np.tile([[START, 7, *range(45, 65), END]], (50, 1)))
    kinds = (found.ids[:, 1:-1] == MASK).mean(1)  # one long word, hidden in every sentence
    assert found.mask[:, 1:-1].all()
    assert ((kinds > 0) & (kinds < 1)).mean() > 0.9


@pytest.mark.parametrize("convention", ["xlm-roberta", "albert"])
def test_words_of_pieces_are_hidden_whole(convention):
    """A piece that begins a word says so; what comes around texts is never hidden."""
    kind = toy_pieces.sentencepiece_text(24, convention)
    draw = np.random.default_rng(0)
    lines = [" ".join("".join(draw.choice(toy_pieces.WORDS[:9], 2)) for _ in range(5)) for _ in range(300)]
    ids = np.concatenate([kind.read(line) for line in lines])
    marks = masked_language.Marks(**kind.marks())
    found = masked_language.mask_words(tf.constant(ids), kind.vocabulary, seed=(1, 2), marks=marks, share=0.3)
    around = {kind.vocabulary.index(token) for token in marks.special}
    mask = np.asarray(found.mask)
    assert not np.isin(ids[mask], sorted(around)).any()
    assert np.isin(np.asarray(found.ids)[mask], kind.vocabulary.index(marks.mask)).mean() == pytest.approx(
        0.8, abs=0.05
    )
    parts = 0
    for row, hidden in zip(ids, mask, strict=True):
        begins = [word.token for word in kind.words(row)]
        behind = int(np.flatnonzero(np.isin(row, sorted(around)))[1])  # the token at the end
        for first, last in itertools.pairwise([*begins, behind]):
            assert len(set(hidden[first:last].tolist())) == 1, "a part of a word is hidden"
            parts += last - first > 1
    assert parts > 100


def test_a_model_of_pieces_without_a_mask_is_refused():
    kind = toy_pieces.sentencepiece_text(24, "albert")
    without = dataclasses.replace(kind, vocabulary=tuple(token for token in kind.vocabulary if token != "[MASK]"))
    with pytest.raises(ValueError, match=r"with \[MASK\], which stands for what is hidden"):
        without.marks()


def test_the_seed_says_which_in_a_graph_and_outside():
    ids = sentences(40)
    first = hide(ids, (3, 4))
    for place in range(3):
        np.testing.assert_array_equal(first[place], hide(ids, (3, 4))[place])
    assert (first.mask != hide(ids, (3, 5)).mask).any()
    compiled = tf.function(lambda ids, seed: masked_language.mask_words(ids, VOCABULARY, seed=seed))
    spec = tf.TensorSpec((None, None), tf.int64)
    found = compiled.get_concrete_function(spec, tf.TensorSpec(2, tf.int32))(tf.constant(ids), tf.constant([3, 4]))
    np.testing.assert_array_equal(found[0], first.ids)


def test_a_sentence_without_words_stays_and_a_cut_word_is_one():
    ids = np.array([[START, END, PAD, PAD], [START, UNKNOWN, END, PAD], [START, 50, 51, END], [50, 51, END, PAD]])
    found = hide(ids)
    assert not found.mask[:2].any()
    np.testing.assert_array_equal(found.ids[:2], ids[:2])
    np.testing.assert_array_equal(found.mask[2:], [[False, True, True, False], [True, True, False, False]])


def test_bad_ids_shares_and_vocabularies_are_refused():
    ids = sentences(3)
    for bad in (ids[0], ids.astype("float32"), ids[None]):
        with pytest.raises(ValueError, match="Wanted token ids"):
            hide(bad)
    for share in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match="share="):
            hide(ids, share=share)
    with pytest.raises(ValueError, match=r"2 tokens without \[MASK\]"):
        masked_language.mask_words(ids, ["[PAD]", "a"], seed=(0, 0), marks=masked_language.Marks(("[PAD]",)))
    with pytest.raises(ValueError, match="all of them special"):
        masked_language.mask_words(ids, VOCABULARY[:5], seed=(0, 0))


@pytest.fixture
def asked():
    generator = np.random.default_rng(0)
    return generator.integers(0, 7, (3, 5)), generator.normal(0, 2, (3, 5, 7)), generator.random((3, 5)) < 0.5


def test_the_loss_equals_numpy(asked):
    labels, logits, mask = asked
    logarithms = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = np.mean(
        [-logarithms[row, place, labels[row, place]] for row, place in zip(*np.nonzero(mask), strict=True)]
    )
    np.testing.assert_allclose(masked_language.loss(labels, logits, mask=mask), wanted, rtol=1e-10)
    single = masked_language.loss(labels, logits.astype("float32"), mask=mask)
    np.testing.assert_allclose(single, wanted, rtol=1e-6)
    other = np.where(mask[..., None], logits + 100, 1e30)  # what is not asked, and an offset of all
    np.testing.assert_allclose(masked_language.loss(labels, other, mask=mask), wanted, rtol=1e-10)
    assert float(masked_language.loss(labels, logits, mask=np.zeros_like(mask))) == 0


def test_other_shapes_are_refused(asked):
    labels, logits, mask = asked
    for bad in ((labels[:2], logits, mask), (labels, logits, mask[:2]), (labels * 1.0, logits, mask)):
        with pytest.raises(ValueError, match="Received"):
            masked_language.loss(bad[0], bad[1], mask=bad[2])
