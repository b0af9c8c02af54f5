//! `[policy.NAME]`.
//!
//! Each case changes one thing in [`super::GOOD`], which has no fault, and shows the whole answer.

use super::{GOOD, shows};

#[test]
fn a_policy_with_two_rules() {
    shows(
        &GOOD.replace(
            r#"scope = "orders.read""#,
            r#"scope = "orders.read"
role = "Admin""#,
        ),
        r#"
error[config.contradiction]: [policy.Read] has both `scope` and `role`
  --> t.toml:25:1
   |
24 | scope = "orders.read"
   | ----- this is there already
25 | role = "Admin"
   | ^^^^ one too many
   |
   = note: expected exactly one of `all`, `any`, `not`, `scope`, `scopes`, `role`, `group`, `claim`, `client`, `kind`, `acr`, `max_age`, `email_domain`, `authenticated`
   = help: combine them: all = [{ .. }, { .. }] where every one must pass, any = [..] where one is enough
"#,
    );
}

#[test]
fn a_policy_without_a_rule() {
    shows(
        &GOOD.replace(
            r#"
scope = "orders.read""#,
            "",
        ),
        r#"
error[config.empty]: [policy.Read] is empty
  --> t.toml:23:1
   |
23 | [policy.Read]
   | ^^^^^^^^^^^^^ nothing in it
   |
   = note: expected exactly one of `all`, `any`, `not`, `scope`, `scopes`, `role`, `group`, `claim`, `client`, `kind`, `acr`, `max_age`, `email_domain`, `authenticated`
"#,
    );
}

#[test]
fn a_policy_with_an_empty_list() {
    shows(
        &GOOD.replace(r#"scope = "orders.read""#, "all = []"),
        r#"
error[config.empty]: `all` in [policy.Read] is an empty list
  --> t.toml:24:7
   |
24 | all = []
   |       ^^ nothing in it
   |
   = note: expected a list of tables, each with one rule, or NAMEs of policies
"#,
    );
}

#[test]
fn a_policy_with_several_scopes_in_one_text() {
    shows(
        &GOOD.replace(r#"scope = "orders.read""#, r#"scope = "orders.read orders.write""#),
        r#"
error[config.invalid_value]: `scope` in [policy.Read] is no scope
  --> t.toml:24:9
   |
24 | scope = "orders.read orders.write"
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = note: expected visible ASCII characters without space, quote and backslash (RFC 6749 s3.3)
   = help: several scopes are a list: put each in quotes of its own
"#,
    );
}

#[test]
fn a_policy_with_a_misspelt_rule_inside() {
    shows(
        &GOOD.replace(r#"scope = "orders.read""#, r#"any = [{ scope = "a" }, { rol = "b" }]"#),
        r#"
error[config.unknown_key]: unknown key `rol` in entry 2 of `any` in [policy.Read]
  --> t.toml:24:27
   |
24 | any = [{ scope = "a" }, { rol = "b" }]
   |                           ^^^ did you mean `role`?
   |
   = note: expected one of all, any, not, scope, scopes, role, group, claim, client, kind, acr, max_age, email_domain, authenticated
"#,
    );
}

#[test]
fn a_policy_of_a_kind_that_is_not() {
    shows(
        &GOOD.replace(r#"scope = "orders.read""#, r#"kind = "users""#),
        r#"
error[config.invalid_value]: `kind` in [policy.Read] cannot be `users`
  --> t.toml:24:8
   |
24 | kind = "users"
   |        ^^^^^^^ did you mean "user"?
   |
   = note: expected "user" or "service"
"#,
    );
}

#[test]
fn a_policy_that_lets_nobody_in() {
    shows(
        &GOOD.replace(r#"scope = "orders.read""#, "authenticated = false"),
        r#"
error[config.invalid_value]: `authenticated` in [policy.Read] can only be true
  --> t.toml:24:17
   |
24 | authenticated = false
   |                 ^^^^^ nobody could pass
   |
   = note: expected true
"#,
    );
}

#[test]
fn a_claim_without_a_test() {
    shows(
        &GOOD.replace(r#"scope = "orders.read""#, r#"claim = { path = "tenant" }"#),
        r#"
error[config.missing_key]: `claim` in [policy.Read] has none of `present`, `equals`, `one_of`, `contains`, `matches`
  --> t.toml:24:1
   |
24 | claim = { path = "tenant" }
   | ^^^^^ one of them is needed
   |
   = note: expected exactly one of `present`, `equals`, `one_of`, `contains`, `matches`
"#,
    );
}

#[test]
fn a_claim_with_two_tests() {
    shows(
        &GOOD.replace(
            r#"scope = "orders.read""#,
            r#"claim = { path = "tenant", equals = "a", contains = "b" }"#,
        ),
        r#"
error[config.contradiction]: `claim` in [policy.Read] has both `equals` and `contains`
  --> t.toml:24:42
   |
24 | claim = { path = "tenant", equals = "a", contains = "b" }
   |                            ------        ^^^^^^^^ one too many
   |                            |
   |                            this is there already
   |
   = note: expected exactly one of `present`, `equals`, `one_of`, `contains`, `matches`
"#,
    );
}

#[test]
fn a_claim_that_equals_a_table() {
    shows(
        &GOOD.replace(
            r#"scope = "orders.read""#,
            r#"claim = { path = "tenant", equals = { a = 1 } }"#,
        ),
        r#"
error[config.wrong_type]: `claim.equals` in [policy.Read] has the wrong type
  --> t.toml:24:28
   |
24 | claim = { path = "tenant", equals = { a = 1 } }
   |                            ^^^^^^ found a table
   |
   = note: expected a text, a whole number, true or false
"#,
    );
}

#[test]
fn policies_that_include_each_other() {
    shows(
        &GOOD.replace(
            r#"scope = "orders.read""#,
            r#"all = ["Staff", { scope = "orders.read" }]
[policy.Staff]
any = [{ group = "staff" }, { not = "Read" }]"#,
        ),
        r#"
error[config.contradiction]: `not` in entry 2 of `any` in [policy.Staff] includes the policy that it is part of
  --> t.toml:26:37
   |
26 | any = [{ group = "staff" }, { not = "Read" }]
   |                                     ^^^^^^ Read -> Staff -> Read
   |
   = note: expected policies that do not include each other
"#,
    );
}

#[test]
fn a_policy_that_includes_one_that_does_not_exist() {
    shows(
        &GOOD.replace(r#"scope = "orders.read""#, r#"any = ["Raed", { group = "staff" }]"#),
        r#"
error[config.dangling_reference]: entry 1 of `any` in [policy.Read] refers to policy `Raed`, which does not exist
  --> t.toml:24:8
   |
24 | any = ["Raed", { group = "staff" }]
   |        ^^^^^^ did you mean `Read`?
   |
   = note: expected "Read"
"#,
    );
}

#[test]
fn a_fault_in_a_policy_is_told_once_wherever_it_is_included() {
    shows(
        &GOOD.replace(
            r#"scope = "orders.read""#,
            r#"all = ["Staff", "Staff", { any = ["Staff"] }]
[policy.Staff]
claim = { path = "tenant", matches = "a)|(b" }"#,
        ),
        r#"
error[config.invalid_value]: `claim.matches` in [policy.Staff] is no pattern
  --> t.toml:26:38
   |
26 | claim = { path = "tenant", matches = "a)|(b" }
   |                                      ^^^^^^^ the pattern "a)|(b" cannot be used: found closing ')' without matching '('
"#,
    );
}

#[test]
fn a_policy_with_the_name_of_the_one_that_is_there() {
    shows(
        &(GOOD.to_owned() + "\n[policy.authenticated]\nscope = \"orders.read\"\n"),
        r#"
error[config.invalid_name]: [policy.authenticated] is a policy that is there already
  --> t.toml:26:1
   |
26 | [policy.authenticated]
   | ^^^^^^^^^^^^^^^^^^^^^^ it lets every valid token pass
   |
   = note: expected a name of your own
"#,
    );
}

#[test]
fn a_role_in_a_claim_that_leads_nowhere() {
    shows(
        &GOOD.replace(
            r#"scope = "orders.read""#,
            r#"role = { name = "admin", in = ["roles", "realm..roles"] }"#,
        ),
        r#"
error[config.invalid_value]: entry 2 of `role.in` in [policy.Read] leads nowhere
  --> t.toml:24:41
   |
24 | role = { name = "admin", in = ["roles", "realm..roles"] }
   |                                         ^^^^^^^^^^^^^^ there is nothing between two dots
   |
   = note: expected the name of a claim in quotes, or a list of names, one inside the other
"#,
    );
}

#[test]
fn a_domain_that_is_none() {
    shows(
        &GOOD.replace(
            r#"scope = "orders.read""#,
            r#"email_domain = ["corp.com", "@corp.com"]"#,
        ),
        r#"
error[config.invalid_value]: `email_domain` in [policy.Read] has an entry that is no domain
  --> t.toml:24:16
   |
24 | email_domain = ["corp.com", "@corp.com"]
   |                ^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = note: expected ASCII letters, digits and hyphens between dots, such as "example.com"
"#,
    );
}
