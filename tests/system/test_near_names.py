from kerastl.system import near_names


def test_near_names():
    assert near_names.did_you_mean("cifar", ["cifar_convnet", "mnist_cnn"]) == " Did you mean cifar_convnet?"
    assert near_names.did_you_mean("zzz", ["cifar_convnet"]) == ""
