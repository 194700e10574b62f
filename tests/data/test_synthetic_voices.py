"""Synthetic voices: as many as asked, of many kinds, at the pitch and speed that they say."""

import shutil

import numpy as np
import pytest

from kerastl.data import synthetic_voices

needs_voices = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@needs_voices
def test_voices_differ_and_are_drawn_by_their_seed():
    voices = synthetic_voices.voices(40, seed=3)
    assert len({str(voice) for voice in voices}) == 40
    assert voices == synthetic_voices.voices(40, seed=3) != synthetic_voices.voices(40, seed=4)
    assert len({voice.name.partition("+")[0] for voice in voices if voice.program == "espeak-ng"}) >= 6
    low, high = synthetic_voices.speak(
        [("seven", synthetic_voices.Voice("espeak-ng", "en-us", 150, pitch)) for pitch in (10, 90)]
    )
    assert pitch_of(low) * 1.3 < pitch_of(high)
    slow, fast = synthetic_voices.speak(
        [("seven", synthetic_voices.Voice("espeak-ng", "en-us", speed, 50)) for speed in (100, 200)]
    )
    assert len(slow) > 1.4 * len(fast)
    with pytest.raises(ValueError, match="'klingonese'"):
        synthetic_voices.voices(8, seed=0, language="klingonese")


def pitch_of(clip):
    """Hertz, by the autocorrelation of the loudest tenth of a second."""
    start = int(np.argmax(np.convolve(np.square(clip.astype(float)), np.ones(1600), "valid")))
    stretch = clip[start : start + 1600].astype(float)
    likeness = np.correlate(stretch, stretch, "full")[1599:]
    return 16_000 / (40 + np.argmax(likeness[40:300]))
