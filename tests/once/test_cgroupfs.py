"""The cgroup files of this host: what is found, what is read, and what is said where there is nothing."""

import pathlib
import subprocess
import sys

import pytest

from memcg_lab.host import cgroupfs
from memcg_lab.host.cgroupfs import COLUMNS, RECORDED, Host, Samples, find_host, observe, read_once, read_samples

MOUNT = "30 23 0:26 {root} {point} rw,nosuid - {kind} {kind} {options}\n"


def host_files(tmp_path, cgroup, mounts):
    """A folder like /proc/self; ``mounts`` are (root, mount point, type, options)."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup)
    lines = (MOUNT.format(root=r, point=p, kind=k, options=o) for r, p, k, o in mounts)
    (proc / "mountinfo").write_text("".join(lines))
    return proc


def v2_folder(folder, current=8192, sock=4096):
    folder.mkdir(parents=True)
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon 4096\nsock {sock}\n")
    (folder / "memory.events").write_text("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n")
    return folder


def v1_folder(folder):
    folder.mkdir(parents=True)
    for name, value in (("usage_in_bytes", 8192), ("kmem.tcp.usage_in_bytes", 0), ("failcnt", 5)):
        (folder / f"memory.{name}").write_text(f"{value}\n")
    return folder


# --- what the host offers --------------------------------------------------------------------------------------------
def test_on_v2_the_cgroup_of_this_process_is_found(tmp_path):
    folder = v2_folder(tmp_path / "cg" / "user" / "me")
    proc = host_files(tmp_path, "0::/user/me\n", [("/", tmp_path / "cg", "cgroup2", "rw")])
    assert find_host(proc, "Linux") == Host(2, folder)


def test_in_a_container_the_part_of_the_tree_that_is_mounted_is_taken_off(tmp_path):
    folder = v2_folder(tmp_path / "cg" / "inner")
    proc = host_files(tmp_path, "0::/docker/77/inner\n", [("/docker/77", tmp_path / "cg", "cgroup2", "rw")])
    assert find_host(proc, "Linux") == Host(2, folder)


def test_on_v1_the_memory_hierarchy_is_taken_and_its_want_is_said(tmp_path):
    folder = v1_folder(tmp_path / "cg1" / "me")
    mounts = [("/", tmp_path / "cg2", "cgroup2", "rw"), ("/", tmp_path / "cg1", "cgroup", "rw,memory")]
    host = find_host(host_files(tmp_path, "4:memory:/me\n0::/me\n", mounts), "Linux")
    assert (host.version, host.folder) == (1, folder)
    assert "cgroup v1" in host.lacks[0]


@pytest.mark.parametrize(
    ("system", "cgroup", "mounted", "says"),
    [
        ("Darwin", "0::/\n", True, "this is Darwin"),
        ("Linux", "0::/\n", True, "root cgroup"),
        ("Linux", "0::/elsewhere\n", True, "no memory.current"),
        ("Linux", "0::/me\n", False, "not mounted"),
        ("Linux", "3:cpuset:/\n", True, "no cgroup with a memory controller"),
    ],
)
def test_what_is_missing_is_said(tmp_path, system, cgroup, mounted, says):
    (tmp_path / "cg").mkdir()
    mounts = [("/", tmp_path / "cg", "cgroup2", "rw")] if mounted else []
    host = find_host(host_files(tmp_path, cgroup, mounts), system)
    assert (host.version, host.folder) == (0, None)
    assert says in host.lacks[0]


def test_a_host_without_proc_is_no_traceback(tmp_path):
    assert "cannot be read" in find_host(tmp_path / "none", "Linux").lacks[0]


def test_this_host_is_found_or_explained():
    host = find_host()
    assert host.folder if host.version else host.lacks


# --- one sample ------------------------------------------------------------------------------------------------------
def test_one_sample_of_v2_holds_the_three_files(tmp_path):
    assert read_once(Host(2, v2_folder(tmp_path / "a"))) == (8192, 4096, 0, 1, 2, 3, 4)


def test_one_sample_of_v1_leaves_out_what_v1_does_not_count(tmp_path):
    assert read_once(Host(1, v1_folder(tmp_path / "a"))) == (8192, 0, None, None, 5, None, None)


def test_a_missing_file_leaves_its_values_out(tmp_path):
    folder = v2_folder(tmp_path / "a")
    (folder / "memory.events").unlink()
    assert read_once(Host(2, folder)) == (8192, 4096, None, None, None, None, None)


# --- watching --------------------------------------------------------------------------------------------------------
def test_samples_are_taken_while_the_traffic_runs_and_nothing_is_written(tmp_path):
    folder = v2_folder(tmp_path / "a")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    samples = observe(nbytes=1 << 20, seconds=0.3, host=Host(2, folder))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert set(samples.column("current")) == {8192}
    assert samples.source.startswith("this host, cgroup v2")
    times = samples.column("t_ms")
    assert len(times) > 3
    assert times == sorted(times)


def test_without_a_cgroup_the_recorded_samples_are_given_and_it_is_said(tmp_path):
    samples = observe(host=Host(0, None, ("this is Darwin",)))
    assert samples.rows == read_samples(RECORDED).rows
    assert samples.source.startswith("recorded ")
    assert samples.notes == ("this is Darwin", "so these are recorded samples, not this host's")


def test_a_cgroup_of_its_own_that_counts_no_memory_is_removed_again(tmp_path):
    folder = v2_folder(tmp_path / "top" / "a")
    samples = observe(own=True, host=Host(2, folder))
    assert "does not give its children the memory controller" in samples.notes[0]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["a"]


def test_a_cgroup_of_its_own_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "top").write_text("a file where a folder is needed")
    samples = observe(own=True, host=Host(2, tmp_path / "top" / "a"))
    assert "cannot be made" in samples.notes[0]


def test_a_cgroup_of_its_own_is_not_made_on_v1(tmp_path):
    folder = v1_folder(tmp_path / "top" / "a")
    samples = observe(own=True, host=Host(1, folder, ("v1",)))
    assert "on v2 only" in samples.notes[1]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["a"]


def test_the_traffic_is_moved_before_it_starts(tmp_path, monkeypatch):
    """The kernel makes the files of a new cgroup; here a stand-in does."""
    folder = v2_folder(tmp_path / "top" / "a")
    moved = []

    def removed(folder):
        moved.append((folder / "cgroup.procs").read_text())

    monkeypatch.setattr(cgroupfs, "_remove", removed)
    monkeypatch.setattr(pathlib.Path, "mkdir", lambda path: v2_folder_by_kernel(path))
    samples = observe(nbytes=1 << 20, seconds=0.3, own=True, host=Host(2, folder))
    assert samples.notes == ("only the traffic is in this cgroup",)
    assert int(moved[0]) > 1


def v2_folder_by_kernel(path):
    import os

    os.mkdir(path)
    (path / "memory.current").write_text("4096\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"nbytes": 5}, "nbytes is 5; it must be a whole number from 1,048,576 to 1,073,741,824"),
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": 61}, "seconds is 61"),
        ({"interval": 0}, "interval is 0"),
    ],
)
def test_a_number_out_of_range_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        observe(**arguments)


# --- the traffic -----------------------------------------------------------------------------------------------------
def loopback(nbytes, seconds):
    done = subprocess.run(
        [sys.executable, "-I", str(cgroupfs.LOOPBACK), str(nbytes), str(seconds)],
        input="go\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    _, sent, _, received = done.stdout.split()
    return int(sent), int(received)


def test_the_traffic_ends_when_its_bytes_are_sent():
    assert loopback(1 << 20, 3) == (1 << 20, 1 << 20)


def test_the_traffic_ends_when_its_time_is_over():
    sent, received = loopback(1 << 40, 2)  # more than any machine sends in that time
    assert 0 < received <= sent < 1 << 40


def test_traffic_that_fails_is_an_error_that_says_so(tmp_path, monkeypatch):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no sockets here')")
    monkeypatch.setattr(cgroupfs, "LOOPBACK", broken)
    with pytest.raises(ValueError, match="the traffic failed: no sockets here"):
        observe(host=Host(2, v2_folder(tmp_path / "a")))


def test_traffic_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    stuck = tmp_path / "stuck.py"
    stuck.write_text("import time\ntime.sleep(600)")
    monkeypatch.setattr(cgroupfs, "LOOPBACK", stuck)
    monkeypatch.setattr(cgroupfs, "GRACE", 0.2)
    with pytest.raises(ValueError, match="did not end"):
        observe(seconds=0.1, host=Host(2, v2_folder(tmp_path / "a")))


# --- files of samples ------------------------------------------------------------------------------------------------
def test_the_recorded_samples_show_sockets_that_hold_pages_and_give_them_all_back():
    samples = read_samples(RECORDED)
    assert max(samples.column("sock")) > 1 << 20
    assert samples.column("sock")[-1] == 0
    assert all(current >= sock for current, sock in zip(samples.column("current"), samples.column("sock")))


def test_saved_samples_are_read_back(tmp_path):
    samples = Samples([(0.0, 1, 2, None, None, 3, None, None), (1.5, 4, 5, 6, 7, 8, 9, 10)], "somewhere")
    samples.save(tmp_path / "s.csv")
    assert read_samples(tmp_path / "s.csv") == samples


HEAD = "# here\n" + ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must stand before the samples"),
        (HEAD, "must stand before the samples"),
        (HEAD.replace("sock", "sox") + "0,1,2,3,4,5,6,7\n", "must stand before the samples"),
        (HEAD + "0,1,2,3,4,5,6\n", "line 3: 7 values; a sample has 8"),
        (HEAD + "0,1,2,3,4,5,6,7\n0,1,x,3,4,5,6,7\n", "line 4: '0,1,x,3,4,5,6,7' is not a sample"),
        (HEAD + "\n0,1,2,3,4,5,6,7\n", "line 3: '' is not a sample"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_says_where_and_what(tmp_path, text, says):
    path = tmp_path / "s.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_samples(path)


def test_an_unknown_column_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'sox' is no column; there are t_ms, current, sock"):
        Samples([], "nowhere").column("sox")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "not text in UTF-8"),
        (b"# a\nx\n1\n", "must stand before the samples"),
        (b"# a\n" + ",".join(COLUMNS).encode() + b"\n" + b"x" * 200_000 + b"\n", "line 3: 'x+' is not a sample"),
        (b"# a\n" + ",".join(COLUMNS).encode() + b"\n1,\x1b[2J\n", r"line 3: '1,\\x1b\[2J' is not a sample"),
    ],
)
def test_what_is_no_file_of_samples_is_refused_in_words(tmp_path, content, says):
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(ValueError, match=says) as raised:
        read_samples(tmp_path / "s.csv")
    assert len(str(raised.value)) < 400
    with pytest.raises(ValueError, match="the path is 3"):
        read_samples(3)
