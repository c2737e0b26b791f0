"""Codes for the room: short, checked letter by letter, found among anything, and sorted by misconception."""

import itertools
import json
import random
import re
import time

import pytest

from lab_helpers import ROOT, said
from memcg_lab import RoomLab, predict, room_code
from memcg_lab.course import notes, room
from memcg_lab.course.guesses import GUESSES
from memcg_lab.course.questions import COUNT, FACTOR, QUESTIONS
from tools import truths

ASKED = [(question, name) for question, names in QUESTIONS.items() for name in names]


def some_value(dice, asked):
    if isinstance(asked, tuple):
        return dice.choice(asked)
    if asked == COUNT:
        return dice.choice([0, dice.randrange(10), dice.randrange(1, 20_000), -dice.randrange(1, 99)])
    if asked == FACTOR:
        return round(dice.uniform(0.5, 2), dice.randrange(5))
    return dice.choice([dice.randrange(500), round(dice.uniform(0, 200), dice.randrange(3)), -0.25])


def some_codes(n, seed=1):
    """Codes of all questions in turn, and what they say."""
    dice, made = random.Random(seed), {}
    for question, names in itertools.islice(itertools.cycle(QUESTIONS.items()), n):
        values = {name: some_value(dice, asked) for name, asked in names.items()}
        for name in list(values)[1:]:
            if dice.random() < 0.2:
                del values[name]
        sure = dice.choice([None, 0, 50, 100, dice.randrange(101)])
        mark = dice.randrange(room.MARKS)
        made[room.code(question, sure=sure, mark=mark, **values)] = room.Said(question, values, sure, mark)
    return made


CODES = some_codes(300)


# --- what came out
def test_the_room_knows_what_the_committed_notebooks_say_came_out():
    assert room.truths() == truths.truths(ROOT)
    assert (ROOT / truths.FILE).read_text(encoding="utf-8") == truths.text_of(room.truths())
    assert {question: list(values) for question, values in room.truths().items()} == {
        question: list(names) for question, names in QUESTIONS.items()
    }


# --- a code
def test_a_code_says_what_it_was_made_of():
    assert len(CODES) > 290
    for made, meant in CODES.items():
        assert room.decode(made) == meant


def test_no_code_is_longer_than_forty_letters_and_none_has_a_letter_that_looks_like_another():
    assert max(map(len, CODES)) <= 37
    assert set("".join(CODES)) - {"-"} <= set(room.ALPHABET)
    assert not set("01OIL") & set(room.ALPHABET)
    longest = {"fewer_levels": 1.23456789, "larger_batch": 12345.6789, "through_the_stock": 99999.4}
    assert 30 < len(room.code("08.remedies", sure=100, mark=room.MARKS - 1, **longest)) <= 37


def test_every_question_has_letters_of_its_own():
    assert list(room.tags().values()) == list(QUESTIONS)


@pytest.mark.parametrize("made", list(CODES)[:48])
def test_every_single_wrong_letter_is_refused_and_named(made):
    letters = made.replace("-", "")
    for k, letter in itertools.product(range(len(letters)), room.ALPHABET):
        if letter == letters[k]:
            continue
        wrong = room._with(letters, k, letter)
        assert any(room._sums(wrong)), wrong
        if (k + room.ALPHABET.index(letter)) % 41 == 0:  # the sentence of some: it takes a search
            with pytest.raises(ValueError, match=r"letter \d+ is|last two letters|changed places") as refused:
                room.decode(wrong)
            if "it would be a code" in str(refused.value):
                assert str(refused.value) == f"letter {k + 1} is {letter}; with {letters[k]} it would be a code."


@pytest.mark.parametrize("made", list(CODES)[:48])
def test_every_swap_of_neighbours_is_refused_and_named(made):
    letters, named = made.replace("-", ""), 0
    for k in range(len(letters) - 1):
        if letters[k] == letters[k + 1]:
            continue
        swapped = room._swapped(letters, k)
        with pytest.raises(ValueError, match=r"letter \d+ is|last two letters|changed places") as refused:
            room.decode(swapped)
        named += str(refused.value).startswith(f"letters {k + 1} and {k + 2}, {swapped[k : k + 2]}, have changed")
    assert named > len(letters) / 3


def test_every_wrong_letter_and_swap_of_three_hundred_codes_changes_a_sum():
    for made in CODES:
        letters = made.replace("-", "")
        changed = [room._with(letters, k, a) for k in range(len(letters)) for a in room.ALPHABET if a != letters[k]]
        changed += [room._swapped(letters, k) for k in range(len(letters) - 1) if letters[k] != letters[k + 1]]
        assert all(any(room._sums(wrong)) for wrong in changed)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("KC42-2239-U6OW", "letter 11 is O, which no code has."),
        ("KC42-2239", "it has 8 letters; a code has 9 to 30."),
        ("", "'' is no code."),
        (7, "7 is no code."),
        (room._grouped(room._checked("ZZZ2223")), "its first three letters name no question of this version."),
        (room._grouped(room._checked("KC42223")), "it names 03.trips, but says nothing that can be said there."),
        (room._grouped(room._checked("KC4222" + room._body("3,101"))), "it names 03.trips, but says nothing that can"),
        (room._grouped(room._checked("KC4222" + room._body("03,50"))), "it names 03.trips, but says nothing that can"),
        (room._grouped(room._checked("KC4222" + room._body("3.5,50"))), "it names 03.trips, but says nothing that can"),
        (room._grouped(room._checked("KC4222" + room._body(",50"))), "it names 03.trips, but says nothing that can"),
        (room._grouped(room._checked("KC42222" + room._body("3,50"))), "it names 03.trips, but says nothing that can"),
    ],
)
def test_what_is_no_code_is_refused_in_words(text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        room.decode(text)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: room.code("03.nothing", trips=3), "there is no question '03.nothing'; there are 00.atomics, "),
        (lambda: room.code("03.trips"), "nothing is said; 03.trips asks for trips."),
        (lambda: room.code("03.trips", trips=3.5), "trips is 3.5; here things are counted one by one"),
        (lambda: room.code("03.trips", trip=3), "trip was not asked; asked is trips."),
        (lambda: room.code("03.trips", trips=10**60), "these numbers have too many digits for a code; round them."),
        (lambda: room.code("03.trips", trips=3, sure=101), "sure is 101; give a percentage from 0 to 100."),
        (lambda: room.code("03.trips", trips=3, mark=-1), "mark is -1; it must be a whole number from 0 to 29,790."),
        (lambda: room_code(["03.trips"]), "there is no question"),
        (lambda: room.code(["03.trips"], trips=3), "there is no question"),
        (lambda: room.codes_of(""), "the path is empty"),
        (lambda: room_code("03.nothing"), "there is no question '03.nothing'"),
        (lambda: room.read_codes(3), "codes is 3; it must be a text of at most 200,000 letters."),
        (lambda: room.codes_of("nowhere"), "nowhere: no such file or folder."),
    ],
)
def test_what_cannot_be_a_code_is_refused_in_words(call, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        call()


def test_a_reader_gets_the_code_of_what_was_said(capsys, monkeypatch):
    monkeypatch.setitem(notes._memory, "predictions", {})
    predict("03.trips", trips=5, sure=80)
    printed = said(capsys, room_code, "03.trips")
    told = room.decode(printed.removeprefix("Code for the room: "))
    assert (told.values, told.sure) == ({"trips": 5}, 80)
    assert said(capsys, room_code, "03.trips") == printed  # asked again, it is the same
    assert said(capsys, room_code, "08.behind").startswith("No prediction yet")


# --- many
def test_codes_are_found_with_anything_around_them():
    one, two, three = itertools.islice(CODES, 3)
    text = (
        f"Ada: {one}!\n2026-11-27 13:05 <{two.lower()}>, that is mine\n\n+49 30 1234-5678-90\nnone here\n{one} {three}"
    )
    reading = room.read_codes(text.replace("-", "\u2011", 3))
    assert reading.said == [CODES[one], CODES[two], CODES[three]]
    assert (reading.again, reading.refused) == (1, [])


def test_what_only_looks_like_a_code_is_told_with_its_line():
    reading = room.read_codes("\n\nKC42-2239-U62X\nKC42-22O9-U62W")
    assert reading.refused == [
        (3, "letter 12 is X; with W it would be a code."),
        (4, "letter 7 is O, which no code has."),
    ]


@pytest.mark.parametrize(("question", "name"), ASKED)
def test_every_known_guess_and_the_right_answer_land_in_their_own_group(question, name):
    truth, guesses = room.truths()[question][name], GUESSES[question][name]
    all_said = [room.Said(question, {name: value}, 60, 0) for value in [truth, *guesses]]
    right, *met, other = room.groups(question, name, all_said)
    assert list(right.said) == [truth]
    assert [list(group.said) for group in met] == [[guess] for guess in guesses]
    assert [group.sentence for group in met] == list(guesses.values())
    assert not other.said


def a_class(n, seed=3):
    """Codes of a class for one question, half of them a listed guess."""
    dice = random.Random(seed)
    values = [*GUESSES["00.atomics"]["before"], 621, 621, 999, 1000, 1201]
    made = [
        room.code("00.atomics", before=dice.choice(values), sure=dice.choice([None, 60, 90]), mark=k) for k in range(n)
    ]
    return "\n".join(f"{k}. {one}" for k, one in enumerate(made))


def test_the_lab_counts_everybody_once_before_and_after_the_run_is_told():
    lab = RoomLab(asked="00.atomics before", codes=a_class(40))
    assert sum(row.answers for row in lab.result.rows) == 40
    assert {row.kind for row in lab.result.rows} == {"said"}  # nothing gives away what is right
    assert "right" not in lab.message
    assert not lab.table()["what leads there"].any()
    lab.set(told=True)
    rows = lab.result.rows
    assert (sum(row.answers for row in rows), rows[0].label, rows[0].kind) == (40, "right: 621", "right")
    assert [row.answers for row in rows[1:-1]] == sorted((row.answers for row in rows[1:-1]), reverse=True)
    assert rows[-1].says
    assert set(re.findall(r"[\d,]+(?= \(|$|, )", rows[-1].says)) <= {"999", "1,000", "1,201"}
    wrong_and_sure = sum(row.sure for row in rows[1:])
    assert f"{wrong_and_sure} at least 75 % sure, and wrong" in lab.message
    assert list(lab.figure().table["answers"]) == [row.answers for row in rows]
    assert lab.figure().table["right"].sum() == 1


def test_the_lab_tells_what_came_twice_what_is_to_others_and_what_it_could_not_read():
    other = room.code("03.trips", trips=4)
    lab = RoomLab(codes=f"{a_class(2)}\n{a_class(1)}\n{other}\n" + "KC42-2239-U62X\n" * 5)
    assert "1 code came more than once; each code counts once." in lab.message
    assert "1 answer to other questions." in lab.message
    assert "5 codes could not be read: line 5, letter 12 is X; with W it would be a code; line 6" in lab.message
    assert lab.message.endswith("; and 2 more.")


def test_words_dates_and_telephone_numbers_around_a_code_are_no_wrong_codes():
    one = next(iter(CODES))
    reading = room.read_codes(f"foo-bar-baz {one}\nsome-other-words, 2026-11-27-13-05\n030-1234-5678\n{one[:-1]}0")
    assert (len(reading.said), [line for line, _ in reading.refused]) == (1, [4])
    tag = next(tag for tag in room.tags() if tag.isalpha())
    assert room.read_codes(f"{tag}A-BBBB-CCCC").refused  # without a digit, but it begins as codes of a question do


def test_all_that_came_most_often_is_told_or_counted():
    codes = [room.code("03.trips", trips=trips, mark=trips) for trips in (3, 2, 5, 6, 7)]
    lab = RoomLab(asked="03.trips trips", codes="\n".join(codes))
    assert lab.message.endswith("Said most often: 2, 3, 5 and 2 more, each once.")
    lab.set(codes="\n".join([*codes, room.code("03.trips", trips=5, mark=99)]))
    assert lab.message.endswith("Said most often: 5.")
    guesses = list(GUESSES["00.atomics"]["before"])[:2]
    lab = RoomLab(codes="\n".join(room.code("00.atomics", before=guess) for guess in guesses), told=True)
    assert "Of the wrong answers that are known, met most often: " in lab.message
    assert ", each once. " in f"{lab.message} "


def test_a_sureness_is_told_beside_each_answer():
    codes = [room.code("03.trips", trips=3, sure=sure, mark=k) for k, sure in enumerate([90, 75, 74, None])]
    lab = RoomLab(asked="03.trips trips", codes="\n".join(codes), told=True)
    row = next(row for row in lab.result.rows if row.label == "3")
    assert (row.answers, row.sure, row.mean) == (4, 2, 80)
    assert row.says == GUESSES["03.trips"]["trips"][3]


def test_the_readers_own_files_become_codes(tmp_path):
    kept = {
        "format": "memcg-lab notes",
        "version": 1,
        "predictions": {"03.trips": {"said": {"trips": 3}, "sure": None}},
    }
    for name in ("ben", "ada"):
        (tmp_path / f"{name}.json").write_text(json.dumps(kept), encoding="utf-8")
    (tmp_path / "cleo.json").write_text("{", encoding="utf-8")
    kept["predictions"] = {"03.trips": {"said": {"trips": "many"}, "sure": None}}
    (tmp_path / "dan.json").write_text(json.dumps(kept), encoding="utf-8")
    kept["predictions"] = {"03.trips": {"shown": True, "afterwards": {"said": {"trips": 3}, "sure": None}}}
    (tmp_path / "eve.json").write_text(json.dumps(kept), encoding="utf-8")  # she said nothing before she was shown
    lines = room.codes_of(tmp_path).splitlines()
    assert len(lines) == 4
    assert [line.split(":")[0] for line in lines[:2]] == ["ada.json", "ben.json"]
    assert lines[2].startswith("cleo.json is not read: line 1 is no JSON")
    assert lines[3] == "dan.json: what it says to 03.trips is nothing that a code can hold."
    reading = room.read_codes("\n".join(lines))
    assert [one.values for one in reading.said] == [{"trips": 3}] * 2
    assert not reading.again  # two readers who say the same are two


def test_three_hundred_codes_take_so_long(capsys):
    text, begun = a_class(300), time.perf_counter()
    lab = RoomLab(codes=text, told=True)
    lab.figure().png()
    taken = time.perf_counter() - begun
    assert sum(row.answers for row in lab.result.rows) == 300
    with capsys.disabled():
        print(f"\n300 codes, read, sorted and drawn: {taken:.2f} s")


def test_a_setting_that_cannot_be_is_told():
    with pytest.raises(ValueError, match="asked is '03'; it must be one of"):
        RoomLab(asked="03")
    with pytest.raises(ValueError, match="told is 1; it must be True or False"):
        RoomLab(told=1)
    with pytest.raises(ValueError, match="codes is 5"):
        RoomLab(codes=5)
