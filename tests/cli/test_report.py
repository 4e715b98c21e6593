import pytest


def test_a_folder_that_is_no_evaluation_is_one_line(mlpf_cli, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, errors = mlpf_cli("report", tmp_path / "empty", "--output", tmp_path / "out")
    assert status == 1
    assert errors == (
        f"error: {tmp_path}/empty/metrics.json: cannot be read (No such file or directory); mlpf report takes folders that mlpf evaluate or mlpf report made\n"
    )


@pytest.mark.parametrize("words", [(), ("--output", "out")])
def test_evaluations_and_output_must_be_given(mlpf_cli, words):
    assert mlpf_cli("report", *words)[0] == 2
