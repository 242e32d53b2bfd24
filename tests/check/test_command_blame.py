"""What cannot be checked is put down to what is wrong: the key by where it came from, the URL by what was asked."""

import json
from pathlib import Path

from tests.check.good_server import MODEL, GoodHandler, running
from tests.check.test_command import assert_one_line, check


def test_a_refused_key_is_told_by_where_it_came_from(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("wrong")
    with running(GoodHandler) as url:
        assert_one_line(check(url, key="wrong"), "refuses the key of FIRSTWORD_API_KEY (status 401)")
        assert_one_line(check(url, "--key", "wrong"), "refuses the key of --key (status 401)")
        assert_one_line(check(url, "--key-file", str(file)), f"refuses the key of the file {file} (status 401)")


def test_where_all_is_404_the_url_itself_is_suspected() -> None:
    class Nothing(GoodHandler):
        def do_GET(self) -> None:
            self.send_error_body(404, "There is no such path.")

    with running(Nothing) as url:
        assert_one_line(check(f"{url}/v2"), f"GET {url}/v2/v1/models and GET {url}/v2/models answer 404: is the URL right?")
        result = check(f"{url}/v2", "--model", MODEL, "--json", "-")
    assert result.returncode == 1
    seen = {one["id"]: one["seen"] for one in json.loads(result.stdout)["checks"]}
    assert seen["path.v1"] == f"{url}/v2/v1/chat/completions: status 404; or is the URL itself wrong?"
    assert seen["path.bare"] == f"{url}/v2/chat/completions: status 404; or is the URL itself wrong?"
