"""What frames say, summed over every alignment: connectionist temporal classification by its definition."""

import itertools

import numpy as np


def said_by(alignment):
    """What an alignment says: groups of equal frames, without those of blanks."""
    return tuple(symbol for symbol, _ in itertools.groupby(alignment) if symbol)


def probabilities_of_sequences(frames):
    """The sum over all alignments of each sequence that so many frames can say."""
    found = {}
    for alignment in itertools.product(range(frames.shape[-1]), repeat=len(frames)):
        whole = np.prod([frames[place, symbol] for place, symbol in enumerate(alignment)])
        found[said_by(alignment)] = found.get(said_by(alignment), 0) + whole
    return found
