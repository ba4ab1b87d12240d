"""The output of a run, with real playbooks: in a pipe and on a terminal."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HOSTS = """
all:
  hosts: {one: {}, number-two: {ansible_host: "127.0.0.{{ 1 }}"}}
  vars: {ansible_connection: local, ansible_python_interpreter: "%s", secret: hunter2}
"""
PLAY = """
- name: Nothing happens here
  hosts: all
  gather_facts: false
  tasks:
    - name: Quiet
      ansible.builtin.assert: {that: true}
- name: Much happens here
  hosts: one
  gather_facts: false
  tasks:
    - name: A change
      ansible.builtin.command: "true"
    - name: A secret
      ansible.builtin.command: echo hunter2
      no_log: true
    - name: A loop
      ansible.builtin.debug: {msg: "item {{ item }}"}
      loop: [first, second]
      changed_when: item == 'second'
    - name: A block
      block:
        - name: A failure
          ansible.builtin.fail: {msg: "What is wrong.\\nWhat to do: \\"this\\"."}
      rescue:
        - name: The rescue
          ansible.builtin.debug: {msg: went back}
    - name: An ignored failure
      ansible.builtin.command: sh -c 'echo out; echo err >&2; exit 7'
      ignore_errors: true
    - name: A missing program
      ansible.builtin.command: no-such-program
      ignore_errors: true
    - name: Something left out
      ansible.builtin.debug: {msg: never}
      when: false
    - name: The end
      ansible.builtin.debug:
        msg: |
          It answers at http://127.0.0.1:8080/

          Try next: curl http://127.0.0.1:8080/
    - name: Nothing to say
      ansible.builtin.debug: {msg: ""}
    - name: A part that is not there
      ansible.builtin.debug: {msg: "{{ lookup('slipway.kit.resolved', 'nothing') }}"}
      ignore_errors: true
    - name: A delegated failure
      ansible.builtin.command: "false"
      delegate_to: "{{ 'number-two' }}"
      ignore_errors: true
    - name: A typo
      ansible.builtin.debug: {msg: "{{ typo }}"}
"""

SMALL = """
- name: A short run
  hosts: all
  gather_facts: false
  tasks:
    - name: Quiet
      ansible.builtin.assert: {that: true}
    - name: Secret
      ansible.builtin.debug: {msg: "{{ secret }}"}
      no_log: true
    - name: A failure
      ansible.builtin.fail: {msg: went wrong}
      ignore_errors: true
    - name: The end
      ansible.builtin.debug: {msg: It answers.}
      run_once: true
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("callback")
    (folder / "hosts.yml").write_text(HOSTS % sys.executable)
    (folder / "play.yml").write_text(PLAY)
    (folder / "small.yml").write_text(SMALL)
    return folder


def command(place: Path, playbook: str, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        str(place / "hosts.yml"),
        str(place / playbook),
        *options,
    ]


def environment() -> dict[str, str]:
    keep = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return {**keep, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "TERM": "xterm", "ANSIBLE_NOCOLOR": "1"}


@pytest.fixture(scope="module")
def plain(place: Path) -> str:
    result = subprocess.run(
        command(place, "play.yml"), env=environment(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "[ERROR]" not in result.stdout + result.stderr
    assert "Callback dispatch" not in result.stdout + result.stderr
    assert result.returncode == 2
    return result.stdout


def test_a_change_is_one_line(plain: str) -> None:
    assert re.search(r"^one +changed +A change( +[\d.]+ s)?$", plain, re.MULTILINE)


def test_tasks_that_found_nothing_to_do_are_silent(plain: str) -> None:
    for absent in ("Quiet", "Nothing happens here", "Something left out", "never"):
        assert absent not in plain
    assert plain.startswith("Much happens here\n")


def test_a_failure_is_printed_as_it_was_written(plain: str) -> None:
    assert '    What is wrong.\n    What to do: "this".\n    (task at ' in plain
    assert re.search(r"^one +FAILED +A failure$", plain, re.MULTILINE)
    assert "Task failed" not in plain
    assert "went back" in plain


def test_a_failed_command_shows_what_it_said(plain: str) -> None:
    assert re.search(r"^one +ignored +An ignored failure", plain, re.MULTILINE)
    # The sentence is Ansible's; 2.21 ends it with a full stop.
    assert re.search(
        r"non-zero return code\.? \(status 7\)\n    \$ sh -c 'echo out; .*; exit 7'\n    out\n    err\n", plain
    )


def test_a_delegate_has_its_name_of_the_inventory(plain: str) -> None:
    assert re.search(r"^one -> number-two +ignored +A delegated failure", plain, re.MULTILINE)
    assert "{{" not in plain


def test_a_delegate_that_is_silent_ends_the_run(place: Path) -> None:
    silent = "{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}"
    task = f"{{ansible.builtin.command: 'true', delegate_to: lb, vars: {silent}, ignore_unreachable: '%s'}}"
    tasks = "".join(f"    - {task % word}\n" for word in (True, False))
    (place / "silent.yml").write_text(
        f"- hosts: one\n  any_errors_fatal: false\n  gather_facts: false\n  tasks:\n{tasks}"
    )
    run = subprocess.run(
        command(place, "silent.yml"), env=environment(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stdout.count("UNREACHABLE") == 2, run.stdout
    assert run.stdout.count("    The run ends here without an undo, and the next deploy takes over the lock.") == 1


def test_the_innermost_reason_is_said(plain: str) -> None:
    assert "[Errno 2] No such file or directory: b'no-such-program'" in plain
    assert "'typo' is undefined" in plain


def test_what_the_kit_s_lookup_refuses_is_the_whole_message(plain: str) -> None:
    assert re.search(r"^    slipway\.kit\.resolved has no part nothing", plain, re.MULTILINE)
    assert "lookup plugin" not in plain


def test_debug_messages_are_plain_text(plain: str) -> None:
    assert "\nIt answers at http://127.0.0.1:8080/\n\nTry next: curl http://127.0.0.1:8080/\n" in plain
    assert "one:\none " not in plain, "an empty message is no line"
    assert "\nitem first\n" in plain
    assert "\nitem second\n" in plain


def test_secrets_stay_secret(plain: str) -> None:
    assert "hunter2" not in plain


def test_the_table_has_what_molecule_reads(plain: str) -> None:
    *_, one, two, last = plain.rstrip().splitlines()
    row = re.fullmatch(r"number-two +ok +ok=1 +changed=0 +failed=0 .* s", one)
    assert row
    assert re.fullmatch(r"one +failed +ok=\d+ +changed=5 +failed=1 +skipped=1 +rescued=1 +ignored=4 +[\d.]+ s", two)
    assert re.fullmatch(r"2 hosts, [\d.]+ s", last)
    assert "\x1b" not in plain


def screen(text: str) -> str:
    """The final text of a terminal that understands only the few movements in use."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[\d*[A-Za-z]|\n|\r|[^\x1b\n\r]+", text):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif token == "\x1b[J":
            lines[row:] = [lines[row][:column]]
        elif token.startswith("\x1b"):
            assert token.endswith("A"), token
            row -= int(token[2:-1])
        else:
            lines[row] = lines[row][:column] + token + lines[row][column + len(token) :]
            column += len(token)
    return "\n".join(lines)


def test_on_a_terminal_live_lines_come_and_go(place: Path) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        command(place, "small.yml"),
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        raw = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            raw += part
    os.close(leader)
    assert process.returncode == 0
    text = raw.decode().replace("\r\n", "\n")
    assert re.search(r"\nnumber-two +Quiet\x1b\[", text)
    left = re.sub(r" +[\d.]+ s\b", "", screen(text))
    for host in ("one       ", "number-two"):
        failure = f"{host}  ignored       A failure\n    went wrong\n    (task at "
        assert failure in left
        left = left.replace(failure, "")
    assert "Quiet" not in left  # the live lines are gone
    assert "\nIt answers.\n\nnumber-two  ok  " in left
    assert left.endswith("ignored=1\n2 hosts,\n")


def test_verbose_shows_every_task_and_its_result(place: Path) -> None:
    result = subprocess.run(
        command(place, "small.yml", "-v"), env=environment(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert re.search(r"^one +ok +Quiet", result.stdout, re.MULTILINE)
    assert "    changed: false\n" in result.stdout
    assert "hunter2" not in result.stdout


STEERING = """
- name: What a host says
  hosts: one
  gather_facts: false
  vars: {escape: "\\e]0;owned\\a\\e[2J\\u009b8m\\u202e"}
  tasks:
    - name: "A name {{ escape }}"
      ansible.builtin.command: printf %s "{{ escape }}"
      register: said
    - name: A diff
      ansible.builtin.copy: {content: "{{ said.stdout }}", dest: "{{ playbook_dir }}/diff"}
      diff: true
    - name: A message
      ansible.builtin.debug: {msg: "{{ said.stdout }}"}
    - name: A list
      ansible.builtin.debug: {msg: {deep: ["{{ said.stdout }}"]}}
    - name: A module that warns of what it found
      slipway.test.warns: {text: "{{ escape }}"}
    - name: A failure
      ansible.builtin.command: sh -c 'printf %s "$0"; printf %s "$0" >&2; exit 3' "{{ escape }}"
      ignore_errors: true
    - name: The end
      ansible.builtin.fail: {msg: "{{ said.stdout }}"}
"""
WARNS = """
import json, sys
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"text": {}})
module.warn("beware " + module.params["text"])
module.exit_json(changed=True, add_host=module.params["text"])
"""


@pytest.mark.parametrize(("terminal", "options"), [(False, ()), (False, ("-vvv",)), (True, ())])
def test_nothing_that_a_host_says_steers_the_terminal(place: Path, terminal: bool, options: tuple[str, ...]) -> None:
    (place / "steering.yml").write_text(STEERING.replace("slipway.test.warns", "warns"))
    (place / "library").mkdir(exist_ok=True)
    (place / "library/warns.py").write_text(WARNS)
    (place / "diff").unlink(missing_ok=True)
    surroundings = {**environment(), "ANSIBLE_LIBRARY": str(place / "library")}
    asked = command(place, "steering.yml", "--diff", *options)
    if terminal:
        script = ["script", "--quiet", "--return", "--command", shlex.join(asked), "/dev/null"]
        result = subprocess.run(script, env=surroundings, cwd=ROOT, capture_output=True, check=False)
    else:
        result = subprocess.run(asked, env=surroundings, cwd=ROOT, capture_output=True, check=False)
    output = (result.stdout + result.stderr).decode()
    # The callback's own sequences: clear to the end, go up, colours.
    rest = re.sub(r"\x1b\[(J|\d+A|[\d;]*m)", "", output.replace("\r", ""))
    assert not set(rest) & {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - {"\n", "\t"}
    assert output.count("\\x1b]0;owned\\x07\\x1b[2J\\x9b8m\\u202e") >= 7
    assert "\x1b[2J" not in output


DISPLAY = """
- name: Messages
  hosts: one
  gather_facts: false
  tasks:
    - name: Text
      slipway.kit.say: {msg: as it is}
    - name: Hidden
      slipway.kit.say: {msg: said before, show: nothing, failed: true}
      ignore_errors: true
    - name: Summary
      slipway.kit.say: {msg: what failed, failed: true}
      ignore_errors: true
    - name: Forged
      forged:
      ignore_errors: true
"""
ALONE = """
- name: For a pipe
  hosts: one
  gather_facts: false
  tasks:
    - name: Show it as JSON
      slipway.kit.say: {msg: "{}", show: only}
"""
WAITING = """
- name: Wait for the reader
  hosts: one
  gather_facts: false
  tasks:
    - name: Print a line and wait
      wait_for_reader: {path: "{{ go }}"}
"""
WAIT = """
import os, time
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        self._display.display("it waits")
        until = time.monotonic() + 60
        while not os.path.exists(self._task.args["path"]) and time.monotonic() < until:
            time.sleep(0.05)
        return {"failed": not os.path.exists(self._task.args["path"])}
"""
FORGED = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule(argument_spec={}).fail_json(msg="what the host hides", slipway_display={"show": "nothing"})
"""


STOPPED = """
- name: Two hosts
  hosts: one,number-two
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Only one can
      ansible.builtin.fail: {msg: it is full}
      when: inventory_hostname == 'one'
"""

SILENT = """
- name: Two hosts
  hosts: one,number-two
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Only one answers
      ansible.builtin.command: "true"
      vars:
        ansible_connection: "{{ 'ssh' if inventory_hostname == 'one' else 'local' }}"
        ansible_ssh_executable: "{{ ssh }}"
"""


def shown(place: Path, text: str, *options: str) -> str:
    (place / "display.yml").write_text(text)
    (place / "library").mkdir(exist_ok=True)
    (place / "library/forged.py").write_text(FORGED)
    surroundings = {**environment(), "ANSIBLE_LIBRARY": str(place / "library")}
    return subprocess.run(
        command(place, "display.yml", *options), env=surroundings, cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout


def test_an_action_of_the_kit_says_how_its_message_is_shown(place: Path) -> None:
    printed = shown(place, DISPLAY)
    assert printed.startswith("Messages\nas it is\nwhat failed\n")
    assert "said before" not in printed
    assert "said before" in shown(place, DISPLAY, "-v")


def test_where_the_run_ends_for_another_host_it_says_so(place: Path) -> None:
    """It would have no reason at all: the failure is another host's."""
    assert "\nnumber-two: the run ended, since it failed on one\n\nnumber-two  ok " in shown(place, STOPPED)
    for changed in (
        STOPPED.replace("when: inventory_hostname == 'one'", ""),
        STOPPED.replace("      when:", "      ignore_errors: true\n      when:"),
        STOPPED.replace("any_errors_fatal: true", "any_errors_fatal: false"),
        STOPPED.replace("      when:", "      any_errors_fatal: false\n      when:"),
    ):
        assert "the run ended" not in shown(place, changed)


@pytest.mark.parametrize(("options", "limit"), [((), "all"), (("--limit", "one,number-two"), "one,number-two")])
def test_a_run_that_a_silent_host_has_ended_says_how_to_continue(
    place: Path, options: tuple[str, ...], limit: str
) -> None:
    ssh = place / "ssh"
    ssh.write_text("#!/bin/sh\nexit 255\n")
    ssh.chmod(0o755)
    line = "number-two: the run ended, since it failed on one. To continue without it: --limit "
    assert f"\n{line}'{limit}:!one'\n" in shown(place, SILENT, "-e", f"ssh={ssh}", *options)


def test_a_failed_message_for_a_pipe_has_its_warnings(place: Path) -> None:
    failed = ALONE.replace("show: only", "show: only, failed: true, aside: [one is silent]")
    assert shown(place, failed) == "{}\n"


def test_a_host_cannot_hide_a_failure(place: Path) -> None:
    assert "what the host hides" in shown(place, DISPLAY)


def test_a_message_for_a_pipe_is_all_that_is_printed(place: Path) -> None:
    assert shown(place, ALONE) == "{}\n"


def test_a_line_reaches_a_pipe_while_its_task_runs(place: Path, tmp_path: Path) -> None:
    """The task ends well only after its line was read."""
    (place / "waiting.yml").write_text(WAITING)
    (tmp_path / "wait_for_reader.py").write_text(WAIT)
    go = tmp_path / "go"
    argv = command(place, "waiting.yml", "-e", f"go={go}")
    # An empty value is none: Python buffers what it writes to a pipe, as it does by default.
    surroundings = {**environment(), "ANSIBLE_ACTION_PLUGINS": str(tmp_path), "PYTHONUNBUFFERED": ""}
    with subprocess.Popen(argv, env=surroundings, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        for line in run.stdout:
            if line == "it waits\n":
                go.touch()
        assert run.wait() == 0
