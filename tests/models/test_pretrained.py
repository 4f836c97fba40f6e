"""What the folder of a pre-trained model must hold."""

import pytest

from mt4ssl.errors import UserError
from mt4ssl.models.pretrained import load_architecture


@pytest.mark.parametrize(
    "text, error",
    [
        ("", "says nothing of a model"),
        ("kind: encoder\n", "says nothing of a model"),
        ("ctc: {}\n", "a fine-tuned model"),
    ],
)
def test_a_folder_of_something_else_is_one_line(tmp_path, text, error):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=error):
        load_architecture(tmp_path)
