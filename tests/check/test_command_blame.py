"""If the checks cannot run, the message names the cause: where the key came from, or which URL was tried."""

import json
from pathlib import Path

from tests.check.good_server import MODEL, GoodHandler, running
from tests.check.test_command import assert_one_line, check


def test_a_refused_key_is_told_by_where_it_came_from(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("wrong")
    with running(GoodHandler) as url:
        assert_one_line(check(url, key="wrong"), "refuses the key", "FIRSTWORD_API_KEY", "status 401")
        assert_one_line(check(url, "--key", "wrong"), "refuses the key", "--key ", "status 401")
        assert_one_line(check(url, "--key-file", str(file)), "refuses the key", f"the file {file}", "status 401")


def test_where_all_is_404_the_url_itself_is_suspected() -> None:
    class Nothing(GoodHandler):
        def do_GET(self) -> None:
            self.send_error_body(404, "There is no such path.")

    with running(Nothing) as url:
        assert_one_line(check(f"{url}/v2"), f"{url}/v2/v1/models", f"{url}/v2/models", "404", "--model")
        result = check(f"{url}/v2", "--model", MODEL, "--json", "-")
    assert result.returncode == 1
    seen = {one["id"]: one["seen"] for one in json.loads(result.stdout)["checks"]}
    for check_id, path in (("path.v1", "/v1/chat/completions"), ("path.bare", "/chat/completions")):
        probed, hint = seen[check_id].split("; ")
        assert probed == f"{url}/v2{path}: status 404"
        assert "URL" in hint
