"""Names of photos become names of files and folders that every file system accepts."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.file_names import MAX_FOLDER_BYTES, file_name, folder_name, folder_names


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["front.jpg", "back.jpeg"], ["front", "back"]),
        (["chair.jpg", "chair.jpg", "chair.png"], ["chair", "chair-2", "chair-3"]),
        (["chair.jpg", "chair.jpg", "chair-2.jpg"], ["chair", "chair-2", "chair-2-2"]),
        (["Chair.jpg", "chair.jpg", "CHAIR.jpg"], ["Chair", "chair-2", "CHAIR-3"]),
        (["???.jpg", "", "..", ".jpg"], ["photo", "photo-2", "photo-3", "jpg"]),
        (["a/b\\c:d*.jpg", "con.jpg", "Lpt1.png"], ["b_c_d", "con_", "Lpt1_"]),
        (["chair.front.view.jpg"], ["chair_front_view"]),
        (["Stuhl für Oma.jpg", "椅子.jpg", "कुर्सी.jpg"], ["Stuhl für Oma", "椅子", "कुर्सी"]),
        (["cafe\u0301.jpg", "caf\u00e9.jpg"], ["caf\u00e9", "caf\u00e9-2"]),
        (["chair\u202egpj.exe.jpg", "a\x00b\nc.jpg"], ["chair_gpj_exe", "a_b_c"]),
        (["a" * 90 + ".jpg", "a" * 90 + "-back.jpg"], ["a" * 80, "a" * 78 + "-2"]),
        (["椅" * 100 + ".jpg"] * 2, ["椅" * 26, "椅" * 26 + "-2"]),
    ],
)
def test_folders_have_the_names_of_the_photos_and_differ(names: list[str], folders: list[str]) -> None:
    assert folder_names(names) == folders


@given(st.lists(st.text(max_size=200), max_size=8))
def test_any_names_give_safe_and_distinct_folders_in_the_same_order(names: list[str]) -> None:
    folders = folder_names(names)
    assert len(folders) == len(names)
    assert len({folder.casefold() for folder in folders}) == len(names)
    for folder in folders:
        assert not re.search(r"[\x00-\x1f<>:\"/\\|?*.]", folder)
        assert folder == folder.strip()
        assert 0 < len(folder.encode()) <= MAX_FOLDER_BYTES
        assert folder_name(folder) == folder  # clients that make the names safe again keep them distinct
    assert folder_names(names[:3]) == folders[:3]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd\\x.jpg", "x.jpg"),
        ("C:\\photos\\chair.jpg", "chair.jpg"),
        ("ch|air?.jpg", "ch_air_.jpg"),
        ("", "photo"),
        ("a" * 300, "a" * 120),
    ],
)
def test_the_name_of_an_upload_has_no_folders_and_no_special_characters(text: str, name: str) -> None:
    assert file_name(text, "photo") == name


def test_a_long_name_with_many_marks_on_one_letter_takes_no_time() -> None:
    marks = "a" + "\u0315\u0300" * 20_000
    started = time.monotonic()
    assert len(file_name(f"{marks}.jpg", "photo")) == 120
    assert folder_name(marks)
    assert folder_names([marks, marks])
    assert time.monotonic() - started < 0.5
