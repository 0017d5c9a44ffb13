import csv
from pathlib import Path

import pytest
import torch

from firstlight import Table, load
from firstlight.errors import DataError, UsageError

FIT = ("fit", "--config=own/table", "--model.num_features=2", "--data.features=[age, income]", "--trainer.max_epochs=2")


@pytest.fixture(autouse=True)
def rows():
    """Write a table: income in the thousands, its class by the sign of one feature, a price that is linear."""
    random = torch.Generator().manual_seed(0)
    rows = [["age", "income", "target", "price"]]
    for age, income in (torch.randn(100, 2, generator=random) * torch.tensor([10, 1000]) + 5000).tolist():
        rows.append([age, income, ("low", "middle", "high")[(income > 4800) + (income > 5200)], 2 * age - income])
    write("table.csv", rows)
    return rows


def write(path, rows):
    with Path(path).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def made(**arguments):
    data = Table(**{"features": ["age", "income"]} | arguments)
    data.setup("fit")
    return data


def test_features_are_standardized_over_the_training_split_alone():
    for data in (made(batch_size=1000), made(batch_size=1000, fold=1)):
        ((train, _),) = data.train_dataloader()
        ((val, _),) = data.val_dataloader()
        torch.testing.assert_close(train.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(train.std(0, correction=0), torch.ones(2))
        x = data.train[0]
        torch.testing.assert_close(val, ((data.val[0] - x.mean(0)) / x.std(0, correction=0)).float())


def test_a_constant_feature_becomes_zero(rows):
    write("table.csv", [["one", *rows[0]]] + [[1e6, *row] for row in rows[1:]])
    ((x, _),) = made(features=["one", "age"], batch_size=1000).train_dataloader()
    assert x[:, 0].abs().max() == 0


def test_column_without_a_name_is_no_feature_unless_it_is_named(rows):
    write("table.csv", [["", *rows[0]]] + [[number, *row] for number, row in enumerate(rows[1:])])
    with pytest.raises(DataError, match=r"^table\.csv: a column has no name: choose the others with --data\.features$"):
        made(features=None, target="price")
    assert made().train[0].shape == (60, 2)


def test_numbers_without_a_finite_deviation_are_refused(rows):
    write("table.csv", [["wide", *rows[0]]] + [[(-1) ** n * 1e308, *row] for n, row in enumerate(rows[1:])])
    with pytest.raises(DataError, match=r"^table\.csv: the numbers of wide are too large for a standard deviation$"):
        made(features=["age", "wide"])


def test_every_row_is_in_one_split():
    data = made(target="price")
    assert [len(split[0]) for split in (data.train, data.val, data.test)] == [60, 20, 20]
    assert len({*torch.cat([data.train[1], data.val[1], data.test[1]])[:, 0].tolist()}) == 100
    assert torch.equal(data.test[1], made(target="price", fold=2, val_fraction=0.1).test[1])


def test_targets_are_numbers_if_all_are_and_else_classes():
    assert made(target="price").classes == ()
    assert made(target="price").train[1].shape == (60, 1)
    data = made()
    assert data.classes == ("high", "low", "middle")
    income, y = data.train[0][:, 1], data.train[1]
    assert torch.equal(y, 1 + (income > 4800).long() - 2 * (income > 5200).long() + 0)
    assert len(made(target="price", kind="class").classes) == 100
    with pytest.raises(DataError, match=r"^table\.csv, line 2: target is '(high|low|middle)', not a finite number$"):
        made(kind="number")


def test_column_of_words_is_no_feature(rows):
    write("table.csv", [rows[0], ["old", *rows[1][1:]], *rows[2:]])
    with pytest.raises(DataError, match=r"'old', not a finite number; choose columns of numbers with --data\.feat"):
        made()
    made(features=["income"])


def test_table_without_a_feature_is_refused(rows):
    write("table.csv", [row[-1:] for row in rows])
    for features in (None, []):
        with pytest.raises(DataError, match=r"there are no columns with features, but for the target 'price'$"):
            made(features=features, target="price")


def test_feature_that_is_the_target_is_refused():
    with pytest.raises(UsageError, match=r"^data\.features: 'price' is the target$"):
        made(features=["age", "price"], target="price")


def test_test_split_may_have_a_file(rows):
    write("test.csv", [rows[0], *rows[1:6]])
    data = made(test_path="test.csv")
    assert [len(split[0]) for split in (data.train, data.val, data.test)] == [80, 20, 5]
    write("test.csv", [rows[0], [1, 2, "none", 3]])
    with pytest.raises(DataError, match=r"^test\.csv, line 2: 'none' is not a class of table\.csv$"):
        made(test_path="test.csv")


def test_missing_column_is_named_with_the_nearest():
    with pytest.raises(DataError, match=r"^table\.csv has no column 'prize'; did you mean 'price'\?$"):
        made(target="prize")


def test_run_goes_through_every_stage_and_a_changed_file_does_not_change_how_it_is_standardized(did, rows):
    did(*FIT, "--trainer.max_epochs=30")
    assert float(did("test").split("accuracy/test ")[1].split()[0]) >= 0.8
    assert "predictions.csv" in did("predict")
    mean = load().data.mean
    write("table.csv", [rows[0]] + [[age, income * 2, *rest] for age, income, *rest in rows[1:]])
    did("test")
    data = load().data
    assert torch.equal(data.mean, mean)
    assert data.columns == ["age", "income"]
    assert data.classes == ("high", "low", "middle")


@pytest.mark.slow
def test_numbers_are_predicted_by_linear_regression(did):
    did(*FIT, "--model=LinearRegression", "--data.target=price", "--trainer.max_epochs=200")
    loss = float(did("test").split()[-1])
    assert loss < 1  # prices differ by a thousand


def test_other_columns_than_those_of_the_checkpoint_are_refused(did, complaint):
    did(*FIT)
    wrong = complaint("test", "--data.features=[income, age]")
    assert wrong == (1, "the features are income, age, but the checkpoint was trained on age, income")


def test_check_skips_a_file_that_is_missing(did):
    Path("table.csv").unlink()
    assert did("check", "own/table").startswith(
        "skipped  own/table: table.csv cannot be read: No such file or directory; name the file with --data.path"
    )


def test_data_of_a_run_stays_standardized_as_in_training_when_it_is_set_up(did, rows):
    did(*FIT)
    write("table.csv", [rows[0]] + [[age, income * 2, *rest] for age, income, *rest in rows[1:]])
    data, mean = load().data, load().data.mean
    data.setup("test")
    assert torch.equal(data.mean, mean)
    write("table.csv", [rows[0]] + [[*row[:2], "other", row[3]] for row in rows[1:]])
    with pytest.raises(
        DataError, match=r"^the classes are other, but the checkpoint was trained on high, low, middle$"
    ):
        load().data.setup("test")


def test_exported_weights_keep_what_a_table_was_standardized_with(did):
    pytest.importorskip("safetensors")
    did(*FIT)
    did("export", "table", "--format", "safetensors")
    (file,) = Path().rglob("*.safetensors")
    expected = load("table").predict("table.csv")
    Path("points.csv").write_text(Path("table.csv").read_text())
    Path("table.csv").unlink()
    found = load(file).predict("points.csv")
    assert torch.equal(found["probability"], expected["probability"])
    assert found["name"] == expected["name"]
