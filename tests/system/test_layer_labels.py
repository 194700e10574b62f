from kerastl.system import layer_labels


def test_layers_are_counted_without_what_only_carries_numbers():
    written = [
        ("QUANTIZE", (1, 8, 8, 3)),
        ("CONV_2D", (1, 8, 8, 4)),
        ("RESHAPE", (1, 256)),
        ("FULLY_CONNECTED", (1, 5)),
    ]
    assert layer_labels.labels(written) == [None, "1. CONV_2D [8, 8, 4]", None, "2. FULLY_CONNECTED [5]"]


def test_a_layer_is_called_by_its_number_its_kind_and_its_shape():
    label = "2. FULLY_CONNECTED [5]"
    for name in (label, "2. FULLY_CONNECTED", "2.", " 2. "):
        assert layer_labels.is_called(label, name)
    for name in ("2", "12.", "FULLY_CONNECTED", "2. CONV_2D", ""):
        assert not layer_labels.is_called(label, name)
    assert not layer_labels.is_called(None, "2.")
