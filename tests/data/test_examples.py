import pytest
from own_data import Points

from firstlight.errors import DataError, UsageError


def test_checkpoint_keeps_the_names_of_the_classes_and_others_are_refused():
    saved, new, other = Points(), Points(), Points()
    saved.classes, new.classes, other.classes = ("high", "low"), (), ("high", "middle")
    new.load_state_dict(saved.state_dict())
    assert new.classes == ("high", "low")
    with pytest.raises(DataError, match="the classes are high, middle, but the checkpoint was trained on high, low"):
        other.load_state_dict(saved.state_dict())


def test_splits_that_are_set_up_have_fingerprints():
    data = Points()
    assert data.fingerprint() == {}
    data.setup("fit")
    assert [*data.fingerprint()] == ["train", "val", "test"]


def test_data_that_cannot_read_files_says_so(tmp_path):
    with pytest.raises(UsageError, match=r"Points does not say how to read .*picture.png: it has no read_file"):
        Points().read_file(tmp_path / "picture.png")
