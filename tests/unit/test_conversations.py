"""ChatML, ShareGPT and OpenAI's logs: given conversations by roles, this is remembered."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins.sources.conversations.conversations import ChatML, ShareGPT
from plugins.sources.reading import head_of
from records.errors import AgentNeeded, SourceError
from tests.unit.taken import Taken, holds, mutants, take

AT = datetime(2025, 1, 6, tzinfo=UTC)


def user(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def agent(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def lines(tmp_path: Path, *records: Any, name: str = "c.jsonl", source: Any = ChatML, **options: Any) -> Taken:
    file = tmp_path / name
    file.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records), encoding="utf-8")
    return take(source(), file, **{"agent": "Lumi", "user": "ana", "at": AT, **options})


def whole(tmp_path: Path, value: Any, **options: Any) -> Taken:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(value, indent=2), encoding="utf-8")
    return take(ChatML(), file, **{"agent": "Lumi", "user": "ana", "at": AT, **options})


def test_tools_are_no_persons_and_two_answers_in_a_row_stay_two(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        {
            "id": "a",
            "conversations": [
                {"from": "system", "value": "be kind"},
                {"from": "human", "value": "area of 5 by 3?"},
                {"from": "function_call", "value": '{"name": "area"}'},
                {"from": "observation", "value": '{"area": 15}'},
                {"from": "gpt", "value": "the area is 15"},
                {"from": "gpt", "value": "second in a row"},
                {"value": "who am i"},
                {"from": "wizard", "value": "and me"},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}]},
                {"from": "assistant", "value": "as assistant"},
                {"role": "user", "text": "mixed"},
            ],
        },
        source=ShareGPT,
    )
    assert [(m["role"], m["text"]) for m in found.messages] == [
        ("system", "be kind"),
        ("user", "area of 5 by 3?"),
        ("system", '{"name": "area"}'),
        ("system", '{"area": 15}'),
        ("agent", "the area is 15"),
        ("agent", "second in a row"),
        ("agent", "as assistant"),
        ("user", "mixed"),
    ]
    assert found.reasons == [
        "no role: who said it is not clear",
        "an unknown role: who said it is not clear",
        "a tool call, nothing said",
    ]
    assert {m["speaker_id"] for m in found.messages if m["role"] == "agent"} == {"Lumi"}


def test_of_contents_in_parts_the_words_are_kept(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        {
            "title": "T",
            "tags": ["x"],
            "model": "m-1",
            "messages": [
                user([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}}, "at this"]),
                agent([{"type": "refusal", "refusal": "I will not"}], weight=0),
                user([{"type": "input_image", "image_url": "u"}]),
                agent(None, refusal="no"),
                user([{"type": "text", "text": {"value": "old assistants", "annotations": []}}]),
                agent([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "done"}]),
                {"role": "model", "parts": [{"text": "gemini"}]},
                {"type": "human", "data": {"content": "langchain"}},
                agent(None, audio={"id": "x", "transcript": "spoken"}),
            ],
        },
    )
    assert found.texts == [
        "look\nat this",
        "I will not",
        "no",
        "old assistants",
        "done",
        "gemini",
        "langchain",
        "spoken",
    ]
    assert found.reasons == ["a picture without words"]
    assert found.about("look\nat this") == {"pictures": 1, "title": "T", "tags": ["x"]}
    assert found.about("I will not")["weight"] == 0
    assert [m["model_version"] for m in found.messages[:2]] == [None, "m-1"]


def test_a_longer_export_adds_only_what_is_new_with_and_without_times(tmp_path: Path) -> None:
    for times in ({}, {"timestamp": "2025-05-05T10:00:00Z"}):
        monday = [user("I have a test", **times), agent("good luck", **times)]
        tuesday = [*monday, user("it went well"), agent("good luck", **times)]
        before, after = (
            lines(tmp_path, {"messages": monday}),
            lines(tmp_path, {"messages": tuesday}, name="other.jsonl"),
        )
        assert before.ids < after.ids
        assert len(after.ids) == 4
        assert {m["session_id"] for m in after.messages} == {m["session_id"] for m in before.messages}


def test_two_conversations_that_begin_alike_are_two_and_copies_of_one_are_one(tmp_path: Path) -> None:
    greeting = [user("hi"), agent("hello")]
    found = lines(
        tmp_path,
        {"messages": [*greeting, user("my cat is ill"), agent("oh")]},
        {"messages": [*greeting, user("tell a joke")]},
        {"messages": [*greeting, user("tell a joke"), agent("knock knock")]},
        {"messages": greeting},
        {"messages": [user("hi"), agent("hello there")]},
    )
    sessions: dict[str, list[str]] = {}
    for message in found.messages:
        sessions.setdefault(message["session_id"], []).append(message["text"])
    assert list(sessions.values()) == [
        ["hi", "hello", "my cat is ill", "oh"],
        ["hi", "hello", "tell a joke", "knock knock"],
        ["hi", "hello there"],
    ]
    assert "5 messages stand in more than one copy" in found.notes[0]
    assert lines(tmp_path, {"id": 1, "messages": greeting}).ids.isdisjoint(
        lines(tmp_path, {"id": 1, "messages": [user("bye")]}).ids
    )


def test_a_log_that_sends_the_whole_talk_each_time_is_one_talk(tmp_path: Path) -> None:
    def line(hour: int, *asked: Any, answer: str) -> dict[str, Any]:
        choices = [{"index": 0, "message": agent(answer)}, {"index": 1, "message": agent("another")}]
        return {
            "id": f"call-{hour}",
            "timestamp": f"2025-05-01T{hour:02}:00:00Z",
            "request": {"model": "m", "messages": [{"role": "system", "content": "be kind"}, *asked]},
            "response": json.dumps({"id": f"chatcmpl-{hour}", "choices": choices}),
        }

    first = line(10, user("hi"), answer="hello")
    second = line(11, user("hi"), agent("hello"), user("yes"), answer="good")
    third = line(12, user("hi"), agent("hello"), user("yes"), agent("good"), user("yes"), answer="good")
    found = lines(tmp_path, first, second, third)
    assert [(m["text"], m["occurred_at"].hour) for m in found.messages if m["role"] != "system"] == [
        ("hi", 10), ("hello", 10), ("yes", 11), ("good", 11), ("yes", 12), ("good", 12),
    ]  # fmt: skip
    assert len({m["session_id"] for m in found.messages}) == 1
    assert found.reasons == ["another answer than the first, never given"] * 3
    assert lines(tmp_path, first, second).ids | lines(tmp_path, third).ids == found.ids


def test_responses_follow_each_other_by_their_ids(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        {
            "object": "response", "id": "resp_1", "model": "m", "created_at": 1746093600, "input": "tell a joke",
            "output": [{"type": "reasoning", "summary": []},
                       {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "knock knock"}]}],
        },
        {
            "object": "response", "id": "resp_2", "previous_response_id": "resp_1", "created_at": 1746093700,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "who is there?"}]}],
            "output": [{"type": "function_call", "name": "f", "arguments": "{}"},
                       {"type": "function_call_output", "output": "42"},
                       {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "me"}]}],
        },
    )  # fmt: skip
    assert found.texts == ["tell a joke", "knock knock", "who is there?", "42", "me"]
    assert len({m["session_id"] for m in found.messages}) == 1
    assert found.reasons == ["thoughts of a model, nothing said", "a tool call, nothing said"]


def test_of_two_answers_the_preferred_one_was_given(tmp_path: Path) -> None:
    asked = {"messages": [user("cold?")], "tools": []}
    found = lines(
        tmp_path,
        {"input": asked, "preferred_output": [agent("10 degrees")], "non_preferred_output": [agent("no idea")]},
        {"prompt": [user("x")], "chosen": [user("x"), agent("y")], "rejected": [user("x"), agent("z")]},
    )
    assert found.texts == ["cold?", "10 degrees", "x", "y"]
    assert found.reasons == ["an answer that was judged worse, never given"] * 2


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [user("a"), agent("b")]},
        [user("a"), agent("b")],
        [[user("a"), agent("b")]],
        {"conversations": [{"id": "c", "messages": [user("a"), agent("b")]}]},
        {"data": {"conversations": [[user("a"), agent("b")]]}},
        {"body": {"messages": [user("a")]}, "response": {"body": {"choices": [{"message": agent("b")}]}}},
    ],
)
def test_wrappers_of_all_kinds_hold_the_same_conversation(tmp_path: Path, value: Any) -> None:
    assert whole(tmp_path, value).texts == ["a", "b"]
    assert lines(tmp_path, value).texts == ["a", "b"]
    file = tmp_path / "c.json"
    assert ChatML().sniff(file, head_of(file))
    assert not ShareGPT().sniff(file, head_of(file))


def test_times_that_only_some_messages_have_keep_the_order(tmp_path: Path) -> None:
    ten = datetime(2025, 5, 1, 10, tzinfo=UTC)
    found = whole(
        tmp_path,
        {"messages": [user("0"), agent("1", timestamp="2025-05-01T10:00:00Z"), user("2"), agent("3"),
                      user("4", timestamp="2025-05-01T10:00:01Z"), agent("5")]},
    )  # fmt: skip
    times = [m["occurred_at"] for m in found.messages]
    assert times == sorted(times)
    assert len(set(times)) == 6
    assert (times[0], times[1], times[5]) == (ten - timedelta(seconds=1), ten, ten + timedelta(seconds=2))
    plain = lines(tmp_path, {"created_at": "2025-05-01T10:00:00Z", "messages": [user("a"), agent("b")]}, at=None)
    assert [(m["turn"], m["occurred_at"] - ten) for m in plain.messages] == [
        (1, timedelta()),
        (2, timedelta(seconds=1)),
    ]
    none = lines(tmp_path, {"messages": [user("a"), agent("b")]}, at=None)
    assert none.messages == []
    assert all("--at" in reason for reason in none.reasons)
    assert none.notes == ["c.jsonl: 2 messages have no time; give that of the first with --at"]


def test_whose_memory_it_is_has_to_be_said(tmp_path: Path) -> None:
    talk = [user("a", name="Ana"), agent("b", name="Lumi"), agent("c", name="Critic")]
    with pytest.raises(AgentNeeded, match="--agent; its speakers are Critic, Lumi"):
        lines(tmp_path, {"messages": talk}, agent=None)
    found = lines(tmp_path, {"messages": talk}, agent="lumi", user=None)
    assert found.said == [("Ana", "a"), ("lumi", "b"), ("Critic", "c")]
    own = lines(
        tmp_path, {"agent_id": "x", "user_id": "u", "messages": talk}, {"messages": talk}, agent=None, user=None
    )
    assert {(m["agent_id"], m["user_id"]) for m in own.messages} == {("x", "u")}
    assert own.reasons == ["no agent: name it with --agent"] * 3


def test_lines_that_are_none_are_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    found = lines(tmp_path, "{bad", {"messages": [user("a")]}, "7", {"x": 1}, '{"messages": [{"role": "user", "con')
    assert found.texts == ["a"]
    assert [(r["line"], r["reason"]) for r in found.rejects] == [
        (1, "not valid JSON"),
        (3, "no list of messages"),
        (4, "no list of messages"),
        (5, "the last line ends in the middle (truncated?)"),
    ]
    with pytest.raises(SourceError, match="no line of it is JSON"):
        lines(tmp_path, "hello")
    with pytest.raises(SourceError, match="truncated"):
        lines(tmp_path, '[\n{"messages": [\n', name="c.json")


def test_any_broken_file_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    records = [
        {
            "id": "x",
            "created_at": 1746093600,
            "messages": [user([{"type": "text", "text": "a"}], name="Ana"), agent("b")],
        },
        {"request": {"messages": [user("a")]}, "response": {"id": "r", "choices": [{"message": agent("b")}]}},
        {
            "previous_response_id": "r",
            "input": [user("c", timestamp=1746093600)],
            "output": [agent("d", id="msg_12345678")],
        },
        {"data": [{"conversations": [{"from": "human", "value": "x"}]}]},
    ]
    file = tmp_path / "f.jsonl"
    for number, broken in enumerate(mutants(records, 300)):
        file.write_text("\n".join(map(json.dumps, broken)) if number % 2 else json.dumps(broken))
        holds(ChatML(), file, agent="Lumi", at=AT, session="s" if number % 3 else None)
    deep: Any = user("x")
    for _ in range(300):
        deep = {"data": deep}
    assert lines(tmp_path, deep).reasons == ["no list of messages"]


def pairs(found: Taken) -> list[tuple[str, str]]:
    return [(m["role"], m["text"]) for m in found.messages]


ASKED = [("user", "q"), ("agent", "a")]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"instruction": "q", "input": "", "output": "a"}, ASKED),
        (
            {"instruction": "Sum it up", "input": "a text", "output": "a"},
            [("user", "Sum it up\na text"), ("agent", "a")],
        ),
        ({"instruction": "q", "context": "", "response": "a", "category": "x"}, ASKED),
        (
            {"instruction": "q2", "output": "a2", "history": [["q", "a"]], "system": "be kind"},
            [("system", "be kind"), *ASKED, ("user", "q2"), ("agent", "a2")],
        ),
        ({"conversation": [{"human": "q", "assistant": "a"}]}, ASKED),
        ({"history": [["q", "a"], ["q2", None]]}, [*ASKED, ("user", "q2")]),
        ({"internal": [["<|BEGIN-VISIBLE-CHAT|>", "hi"], ["q", "a"]], "visible": []}, [("agent", "hi"), *ASKED]),
        ({"text": "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>"}, ASKED),
        ({"text": "<s>[INST] <<SYS>>\nbe kind\n<</SYS>>\n\nq [/INST] a </s>"}, [("system", "be kind"), *ASKED]),
        ({"text": "### Human: q### Assistant: a"}, ASKED),
        ({"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}, ASKED),
        ({"text": "Below is an instruction that describes a task.\n\n### Instruction:\nq\n\n### Response:\na"}, ASKED),
        ({"messages": [user("q"), agent("<think>hm, what?</think>\n\na")]}, ASKED),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "bing", "value": "a"}]}, ASKED),
        ({"rows": [{"row_idx": 0, "row": {"messages": [user("q"), agent("a")]}}]}, ASKED),
        ([{"type": "human", "data": {"content": "q"}}, {"type": "ai", "data": {"content": "a"}}], ASKED),
        (
            [
                {"lc": 1, "type": "constructor", "id": ["langchain", f"{who}Message"], "kwargs": {"content": text}}
                for who, text in (("Human", "q"), ("AI", "a"))
            ],
            ASKED,
        ),
    ],
)
def test_conversations_in_other_clothes(tmp_path: Path, record: Any, said: list[tuple[str, str]]) -> None:
    found = whole(tmp_path, record)
    assert pairs(found) == said
    file = tmp_path / "c.json"
    source = ShareGPT() if "conversations" in record else ChatML()
    assert source.sniff(file, head_of(file))


@pytest.mark.parametrize(
    "text", ["[INST] is what Llama wants", "Human: is a word", "I wrote <|im_start|>user to it", "### Human"]
)
def test_who_writes_about_marks_says_it_all(tmp_path: Path, text: str) -> None:
    found = lines(tmp_path, {"messages": [user(text), agent(text)]})
    assert [m["text"] for m in found.messages] == [text, text]
