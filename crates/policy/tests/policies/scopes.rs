//! The scopes that a policy speaks of.

use portcullis_policy::Policy;

#[test]
fn what_nobody_passes_without_is_demanded() {
    let scope = Policy::scope;
    for (policy, demanded) in [
        (scope("a"), &["a"][..]),
        (Policy::scopes(["a", "b"]), &["a", "b"]),
        (
            Policy::all([scope("a"), Policy::role("r"), Policy::scopes(["b", "a"])]),
            &["a", "b"],
        ),
        (Policy::any([scope("a"), scope("b")]), &[]),
        (Policy::any([scope("a"), Policy::role("r")]), &[]),
        (
            Policy::any([Policy::scopes(["a", "b"]), Policy::all([scope("b"), Policy::role("r")])]),
            &["b"],
        ),
        (Policy::not(scope("a")), &[]),
        (Policy::authenticated(), &[]),
    ] {
        assert_eq!(policy.demanded_scopes(), demanded, "{policy}");
    }
}
