//! Methods and paths: who is asked, and what is refused because nobody is.

use portcullis_policy::{Decision, PathPattern, PatternFault, RouteTable};

fn path(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap_or_else(|fault| panic!("{text} {fault}"))
}

fn table(rows: &[(&[&str], &str)]) -> RouteTable<usize> {
    let mut table = RouteTable::new();
    for (at, (methods, text)) in rows.iter().enumerate() {
        table.add(methods, path(text), at).unwrap();
    }
    table
}

#[test]
fn a_path_without_braces_covers_what_is_below_and_one_with_braces_does_not() {
    for (pattern, good, bad) in [
        (
            "/orders",
            &["/orders", "/orders/", "/Orders", "/orders/7", "/orders/7/lines/"][..],
            &["/orders2", "/order", "/", "/x/orders", "orders"][..],
        ),
        ("/", &["/", "/a", "/a/b"], &["", "a"]),
        (
            "/orders/{id}",
            &["/orders/7", "/ORDERS/7/", "/orders/a%20b"],
            &["/orders", "/orders/", "/orders/7/lines", "/orders//", "/other/7"],
        ),
        (
            "/orders/{id}/lines",
            &["/orders/7/lines", "/orders/7/Lines/"],
            &["/orders/7", "/orders/7/lines/1", "/orders/lines", "/orders//lines"],
        ),
        (
            "/files/{*rest}",
            &["/files/a", "/files/a/b/c", "/FILES/a"],
            &["/files", "/files/", "/filesa"],
        ),
        ("/{*rest}", &["/a", "/a/b"], &["/"]),
        ("/{a}/{b}", &["/x/y"], &["/x", "/x/y/z"]),
    ] {
        for good in good {
            assert!(path(pattern).matches(good), "{pattern} {good}");
        }
        for bad in bad {
            assert!(!path(pattern).matches(bad), "{pattern} {bad}");
        }
    }
}

#[test]
fn a_path_that_cannot_be_meant_is_an_error() {
    for (text, fault) in [
        ("", PatternFault::Relative),
        ("orders", PatternFault::Relative),
        ("/orders/", PatternFault::SlashAtEnd),
        ("/{id}/", PatternFault::SlashAtEnd),
        ("//orders", PatternFault::EmptySegment),
        ("/a/../b", PatternFault::DotSegment),
        ("/a/.", PatternFault::DotSegment),
        ("/a/*", PatternFault::Star),
        ("/a/**", PatternFault::Star),
        ("/{}", PatternFault::Braces),
        ("/{*}", PatternFault::Braces),
        ("/v{id}", PatternFault::Braces),
        ("/{id", PatternFault::Braces),
        ("/{a}{b}", PatternFault::Braces),
        ("/{a b}", PatternFault::Braces),
        ("/{*rest}/a", PatternFault::RestInside),
        ("/a%2fb", PatternFault::Character),
        ("/a?b", PatternFault::Character),
        ("/a b", PatternFault::Character),
        ("/\u{e9}", PatternFault::Character),
    ] {
        assert_eq!(PathPattern::parse(text).unwrap_err(), fault, "{text}");
    }
}

#[test]
fn the_most_specific_path_decides_whatever_the_order() {
    let paths = [
        "/api",
        "/api/{*rest}",
        "/api/{id}",
        "/api/{id}/lines",
        "/api/report",
        "/api/report/{year}",
        "/api/{id}/{*rest}",
        "/api/report/2024",
    ];
    let expected = [
        ("/api", "/api"),
        ("/api/7", "/api/{id}"),
        ("/api/7/lines", "/api/{id}/lines"),
        ("/api/7/lines/1", "/api/{id}/{*rest}"),
        ("/api/7/other", "/api/{id}/{*rest}"),
        ("/api/report", "/api/report"),
        ("/api/REPORT/", "/api/report"),
        ("/api/report/2023", "/api/report/{year}"),
        ("/api/report/2024", "/api/report/2024"),
        ("/api/report/2024/x", "/api/report/2024"),
        ("/api/report/2023/x", "/api/report"),
    ];
    let mut order = paths.to_vec();
    for _ in 0..paths.len() {
        order.rotate_left(1);
        for paths in [order.clone(), order.iter().rev().copied().collect()] {
            let mut table = RouteTable::new();
            for text in paths {
                table.add(&[], path(text), text).unwrap();
            }
            for (call, decides) in &expected {
                assert_eq!(table.decide("GET", call), Decision::Policy(decides), "{call}");
            }
        }
    }
}

#[test]
fn what_nobody_spoke_of_is_refused() {
    assert_eq!(RouteTable::<()>::new().decide("GET", "/"), Decision::NoPolicy);
    let table = table(&[(&["GET"], "/orders"), (&["DELETE"], "/orders/{id}"), (&[], "/open")]);
    assert_eq!(table.decide("GET", "/other"), Decision::NoPolicy);
    assert_eq!(table.decide("POST", "/orders"), Decision::MethodNotAllowed);
    assert_eq!(table.decide("DELETE", "/orders"), Decision::MethodNotAllowed);
    assert_eq!(table.decide("DELETE", "/orders/7"), Decision::Policy(&1));
    // A more specific path without the method leaves the others to the less specific one.
    assert_eq!(table.decide("GET", "/orders/7"), Decision::Policy(&0));
    assert_eq!(table.decide("get", "/orders"), Decision::MethodNotAllowed);
    assert_eq!(table.decide("PROPFIND", "/open"), Decision::Policy(&2));
}

#[test]
fn head_is_get_unless_it_is_named_and_the_rest_is_for_the_others() {
    let table = table(&[
        (&[], "/a"),
        (&["GET"], "/a"),
        (&["HEAD"], "/a"),
        (&["GET", "POST"], "/b"),
    ]);
    assert_eq!(table.decide("POST", "/a"), Decision::Policy(&0));
    assert_eq!(table.decide("GET", "/a"), Decision::Policy(&1));
    assert_eq!(table.decide("HEAD", "/a"), Decision::Policy(&2));
    assert_eq!(table.decide("HEAD", "/b"), Decision::Policy(&3));
}

#[test]
fn two_routes_for_the_same_calls_are_an_error() {
    for (first, second) in [
        ((&[][..], "/a"), (&[][..], "/A")),
        ((&["GET"], "/a/{id}"), (&["POST", "GET"], "/a/{number}")),
        ((&["GET"], "/{*a}"), (&["GET"], "/{*b}")),
    ] {
        let mut table = RouteTable::new();
        table.add(first.0, path(first.1), ()).unwrap();
        let conflict = table.add(second.0, path(second.1), ()).unwrap_err();
        assert_eq!((&*conflict.first, &*conflict.second), (first.1, second.1));
    }
    // The good twins.
    for (first, second) in [
        ((&[][..], "/a"), (&["GET"][..], "/a")),
        ((&["GET"], "/a"), (&["POST"], "/a")),
        ((&["GET"], "/a/{id}"), (&["GET"], "/a/{*rest}")),
    ] {
        let mut table = RouteTable::new();
        table.add(first.0, path(first.1), ()).unwrap();
        table.add(second.0, path(second.1), ()).unwrap();
    }
}

#[test]
fn a_method_in_small_letters_passes_by_no_row() {
    let table = table(&[(&["DELETE"], "/orders/{id}"), (&[], "/orders")]);
    assert_eq!(table.decide("DELETE", "/orders/7"), Decision::Policy(&0));
    assert_eq!(table.decide("PUT", "/orders/7"), Decision::Policy(&1));
    for method in ["delete", "Delete", "put", "propFIND"] {
        assert_eq!(
            table.decide(method, "/orders/7"),
            Decision::MethodNotAllowed,
            "{method}"
        );
    }
}
