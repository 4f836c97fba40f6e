"""No file can run code: no call in the tree would let one, but for a few with their reasons; downloads are checked."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = set(
    "eval exec os.system os.popen pickle.load pickle.loads pickle.Unpickler marshal.load marshal.loads shelve.open "
    "joblib.load dill.load yaml.unsafe_load yaml.full_load tempfile.mktemp lhotse.utils.safe_extract".split()
)
SHELL = {
    "eval": r"\beval\b",
    "sh -c": r'(?:\b(?:ba)?sh|\$\{?BASH\}?"?) -\w*c\b',
    "script": r"\bscript\b.* --command",
    "| sh": r"\|\s*(?:ba)?sh\b",
    "curl": r"\b(?:curl|wget)\b",
    "/tmp": r"/tmp/",
}
ALLOWED = {
    ("mt4ssl/data/audio.py", "subprocess.run(shell=True)"): "what a corpus.yaml permits; ffmpeg, with a quoted name",
    ("mt4ssl/data/corpus.py", "yaml.load"): "its loader is a SafeLoader",
    ("tests/interop/test_import.py", "torch.load"): "shows that the attack is a real one",
    ("tests/data/test_cuts.py", "pickle.loads"): "what the test itself pickled",
    ("tests/recipes/test_recipe.py", "exec"): "snippets of this repository's pages",
    ("utils/stage.sh", "sh -c"): "runs its arguments as they are; and functions of its own",
    ("utils/stage.sh", "script"): "takes a line only: each word of it is quoted",
    ("tests/shell/stage.bats", "sh -c"): "lines of the test itself",
    ("tests/shell/beside.bats", "sh -c"): "lines of the test itself",
    ("tests/shell/stage.bats", "script"): "lines of the test itself",
    ("tests/shell/recipe.bats", "eval"): "a function that tests/warm_python.py prints",
}


def tracked(*patterns: str) -> list[str]:
    """Files of the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def dotted(function: ast.expr) -> str:
    """A function as it is called, without what it is taken from if that is no name."""
    if isinstance(function, ast.Attribute):
        return f"{dotted(function.value)}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else ""


def forbidden(node: ast.AST) -> set[str]:
    """What of a piece of Python is forbidden."""
    if isinstance(node, ast.ImportFrom):
        return {f"{node.module}.{alias.name}" for alias in node.names} & FORBIDDEN
    if not isinstance(node, ast.Call):
        return set()
    name = dotted(node.func)
    options = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
    wrong = {
        name: name in FORBIDDEN
        or (name == "torch.load" and options.get("weights_only") is not True)
        or (name == "yaml.load" and "yaml.SafeLoader" not in ast.unparse(node))
        or (name.endswith(".extractall") and options.get("filter") != "data")
        or options.get("allow_pickle") is True,
        f"{name}(shell=True)": options.get("shell") is True,
    }
    return {call for call, is_wrong in wrong.items() if is_wrong}


def found_in(path: str) -> set[tuple[str, str]]:
    """What of a file is forbidden."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        return {(path, call) for node in ast.walk(ast.parse(text)) for call in forbidden(node)}
    code = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    return {(path, call) for call, pattern in SHELL.items() if re.search(pattern, code)}


def test_the_tree_has_no_forbidden_call():
    shell = tracked("*.sh", "*.bats", "*.sbatch", ".ci/run", ".pre-commit-config.yaml")
    found = set().union(*map(found_in, [*tracked("*.py"), *shell]))
    assert found == ALLOWED.keys()


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pickle.load(file)",
        "from pickle import loads",
        "yaml.load(text, yaml.Loader)",
        "run('ls', shell=True)",
        "tar.extractall(folder)",
        "tar.extractall(folder, filter='fully_trusted')",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_what_is_forbidden_is_found(code):
    assert any(forbidden(node) for node in ast.walk(ast.parse(code)))


def test_every_download_has_its_sha_256():
    sources = [line for path in tracked("egs/*/local/sources.txt") for line in (ROOT / path).read_text().splitlines()]
    parts = [line.split() for line in sources if not line.startswith("#")]
    assert len(parts) == 13
    assert all(url.startswith("https://") and re.fullmatch("[0-9a-f]{64}", checksum) for _, url, checksum in parts)
    for path in tracked("egs/*/local/requirements.txt"):
        requirements = (ROOT / path).read_text().replace("\\\n", " ").splitlines()
        wanted = [line for line in requirements if not line.startswith("#")]
        assert wanted and all(re.search(r"==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in wanted)
    for path in tracked("egs/*.sh", "utils/*.sh"):
        for install in re.findall(r"pip install.*", (ROOT / path).read_text()):
            assert "--require-hashes" in install, path
