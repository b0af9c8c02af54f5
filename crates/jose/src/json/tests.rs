use super::*;
use crate::json::reader::JsonFault;

fn parse(text: &[u8], depth: usize) -> Result<Object, JsonFault> {
    parse_object(text.to_vec(), depth)
}

fn fault(text: &[u8]) -> JsonFault {
    parse(text, 4).unwrap_err()
}

#[test]
fn usual_names_are_found_at_their_places() {
    for (place, name) in USUAL.into_iter().enumerate() {
        assert_eq!(usual(name), Some(place));
        let text = format!("{{\"{name}\":1,\"x\":2,\"{name}\":3}}");
        assert_eq!(
            parse(text.as_bytes(), 2),
            Err(JsonFault::RepeatedMember(name.to_owned()))
        );
    }
    assert_eq!(usual("Scope"), None);
}

#[test]
fn reads_what_serde_json_reads() {
    let text = r#"{"a":[1,-2,3.5,true,null,{"b":"\u00e9"}],"c":""}"#;
    let ours = parse(text.as_bytes(), 4).unwrap();
    assert_eq!(ours.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
    assert_eq!(ours.get("c").and_then(Value::as_str), Some(""));
}

#[test]
fn refuses_repeated_members_at_any_depth_however_spelled() {
    assert_eq!(fault(br#"{"a":1,"a":2}"#), JsonFault::RepeatedMember("a".into()));
    assert_eq!(fault(br#"{"a":1,"\u0061":2}"#), JsonFault::RepeatedMember("a".into()));
    assert_eq!(fault(br#"{"x":{"a":1,"a":2}}"#), JsonFault::RepeatedMember("a".into()));
    let many = (0..100).map(|i| format!("\"m{i}\":0")).collect::<Vec<_>>().join(",");
    assert!(parse(format!("{{{many}}}").as_bytes(), 4).is_ok());
    assert_eq!(
        fault(format!("{{{many},\"m0\":1}}").as_bytes()),
        JsonFault::RepeatedMember("m0".into())
    );
    assert_eq!(
        fault(format!("{{{many},\"m99\":1}}").as_bytes()),
        JsonFault::RepeatedMember("m99".into())
    );
}

#[test]
fn refuses_what_is_not_one_object_of_utf8() {
    for text in [
        &b""[..],
        b"null",
        b"[]",
        b"1",
        b"{\"a\":1}x",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{/**/}",
        b"{\"a\":1,}",
        b"{'a':1}",
        b"{\"a\":\"\x01\"}",
        b"{\"a\":\"\xc0\xae\"}",
    ] {
        assert!(
            matches!(fault(text), JsonFault::Syntax | JsonFault::NotAnObject),
            "{text:?}"
        );
    }
    assert_eq!(fault(br#"{"a":1e400}"#), JsonFault::NumberRange);
}

#[test]
fn reads_numbers_and_strings_as_serde_json_does() {
    for value in [
        "0",
        "-0",
        "7",
        "-12",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1.5",
        "-1.25e-3",
        "1E+2",
        "123456789012345678901234567890",
        "0.1",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "1e400",
        "-1e400",
        "1e-400",
        "true",
        "false",
        "null",
        "tru",
        r#""""#,
        r#""\u00e9\ud83d\ude00\n\/\b\f\r\t\"\\""#,
        r#""\ud83d""#,
        r#""\ude00\ud83d""#,
        r#""\u12g4""#,
        r#""\x""#,
        "\"\u{7f}\u{e9}\"",
        "\"\t\"",
        "\"unended",
        "[]",
        "[1,]",
        "[ 1 , 2 ]",
        "[1 2]",
        "{\"b\":{}}",
        "{,}",
        "{\"b\"}",
    ] {
        let text = format!("{{ \"a\" : {value} }}");
        let ours = parse(text.as_bytes(), 4).ok().map(|object| object.to_json());
        assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&text).ok(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn agrees_with_serde_json_on_texts_near_json(text in "[{}\\[\\]\",:0-9eE.+\\-a\\\\u \n]{0,24}") {
        let text = format!("{{\"x\":{text}}}");
        if let Ok(ours) = parse(text.as_bytes(), 64) {
            proptest::prop_assert_eq!(Some(ours.to_json()), serde_json::from_str(&text).ok());
        } else if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
            // What we refuse and they read has a member twice.
            let names = text.matches(':').count();
            proptest::prop_assert!(count_members(&theirs) < names, "{}", text);
        }
    }
}

fn count_members(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Object(members) => members.len() + members.values().map(count_members).sum::<usize>(),
        serde_json::Value::Array(items) => items.iter().map(count_members).sum(),
        _ => 0,
    }
}

#[test]
fn depth_is_bounded() {
    assert!(parse(br#"{"a":{"b":{"c":[]}}}"#, 4).is_ok());
    assert_eq!(fault(br#"{"a":{"b":{"c":[[]]}}}"#), JsonFault::TooDeep);
}

#[test]
fn members_and_items_are_found_past_what_is_inside_of_others() {
    let text = br#"{"a":{"x":[1,[2,{"y":[]}],3],"z":{}},"b":[[],[[]],{"k":"v"}],"sub":"s","c":null}"#;
    let object = parse(text, 8).unwrap();
    let names: Vec<&str> = object.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "sub", "c"]);
    assert_eq!(object.get("sub"), Some(Value::String("s")));
    assert_eq!(object.get("c"), Some(Value::Null));
    assert_eq!(object.get("x"), None);
    let inner = object.get("a").and_then(Value::as_object).unwrap();
    assert_eq!((inner.len(), inner.get("sub"), inner.get("b")), (2, None, None));
    assert_eq!(
        inner.get("z").and_then(Value::as_object).map(Members::is_empty),
        Some(true)
    );
    let list = object.get("b").and_then(Value::as_array).unwrap();
    assert_eq!((list.len(), list.is_empty(), list.iter().count()), (3, false, 3));
    let last = list.iter().last().and_then(Value::as_object).unwrap();
    assert_eq!(last.get("k").and_then(Value::as_str), Some("v"));
}

/// A name that is usual at the top is nothing special inside of another object.
#[test]
fn usual_names_inside_of_others_stay_there() {
    let object = parse(br#"{"act":{"sub":"inner","iss":1},"x":1}"#, 4).unwrap();
    assert_eq!((object.get("sub"), object.get("iss")), (None, None));
    let actor = object.get("act").and_then(Value::as_object).unwrap();
    assert_eq!(actor.get("sub"), Some(Value::String("inner")));
}

#[test]
fn strings_with_escapes_are_kept_without_them() {
    let text = br#"{"\u0073ub":"a\"b","two":["\\","plain","\u00e9\n"],"\u00e9":1}"#;
    let object = parse(text, 4).unwrap();
    assert_eq!(object.get("sub").and_then(Value::as_str), Some("a\"b"));
    let two = object.get("two").and_then(Value::as_array).unwrap();
    let two: Vec<_> = two.iter().filter_map(Value::as_str).collect();
    assert_eq!(two, ["\\", "plain", "\u{e9}\n"]);
    assert!(object.get("\u{e9}").is_some());
    let other = parse(r#"{"sub":"a\"b","two":["\\","plain","é\n"],"é":1}"#.as_bytes(), 4).unwrap();
    assert_eq!(object, other);
}

/// Long strings are looked at eight bytes at a time.
#[test]
fn the_end_of_a_string_is_found_at_every_place() {
    let endings = [
        ("\"", true),
        ("\\n\"", true),
        ("\\\"\"", true),
        ("\u{1f}\"", false),
        ("\0\"", false),
        ("", false),
    ];
    for length in 0..40 {
        for (ending, good) in endings {
            for filler in ["x", "\u{7f}", "!", "#", "[", "]", " ", "\u{e9}\u{4e2d}"] {
                let text = format!("{{\"a\":\"{}{ending}}}", filler.repeat(length));
                let ours = parse(text.as_bytes(), 2).ok().map(|object| object.to_json());
                assert_eq!(ours.is_some(), good, "{text:?}");
                assert_eq!(ours, serde_json::from_str(&text).ok(), "{text:?}");
            }
        }
    }
}

/// What is kept of a token is counted, so nothing may keep more than it says.
#[test]
fn the_memory_is_the_text_and_sixteen_bytes_for_each_part() {
    assert_eq!(size_of::<Node>(), 16);
    let text = format!("{{\"many\":[{}1]}}", "1,".repeat(999));
    let bytes = parse(text.as_bytes(), 4).unwrap().heap_bytes();
    assert!((1_000 * 16..3 * 1_000 * 16).contains(&bytes), "{bytes}");
    let bytes = parse(br#"{"sub":"alice"}"#, 4).unwrap().heap_bytes();
    assert!(bytes < 100, "{bytes}");
}
