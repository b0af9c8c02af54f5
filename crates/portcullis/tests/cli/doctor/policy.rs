//! A token, and a call that no policy is about.

use serde_json::{Value, json};

use super::Stage;
use crate::fake::{Fake, Reply};
use crate::process::Ended;

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_a_policy_is_not_taken_for_one_with() {
    let stage = Stage::new().await;
    let token = stage.mint(None);
    let by_method = "policy = { POST = \"Read\" }";
    let config = stage.config.replace("policy = \"Read\"", by_method);
    assert_ne!(config, stage.config);
    let told = |ended: &Ended| -> Value { serde_json::from_str(&ended.stdout).unwrap() };
    // Nobody says what is called: it is not asked, and nothing is wrong.
    let ended = stage.asks(&config, &["--token", "-", "--json"], &token);
    let said = told(&ended);
    assert_eq!(
        (ended.status, &said["token"]["refused"]),
        (0, &Value::Null),
        "{}",
        ended.stdout
    );
    let policy = said["token"]["checks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&policy["check"], &policy["outcome"], &policy["found"]),
        (
            &json!("policy"),
            &json!("not_reached"),
            &json!("not asked: GET /api/orders has none (route.method_not_allowed); --url names what is called")
        )
    );
    let ended = stage.asks(&config, &["--token", "-"], &token);
    assert!(
        ended.stdout.contains("api orders takes it; no policy was asked"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("takes it for GET"), "{}", ended.stdout);

    // An address is called, and a good token gets this answer.
    let gateway = Fake::start(|_, _| Reply::status(405));
    let url = format!("{}/api/orders/7", gateway.origin);
    for (config, code, status, refused) in [
        (config, "doctor.token_refused", 405, json!("route.method_not_allowed")),
        (
            stage.config.replace(
                "policy = \"Read\"",
                "routes = [{ path = \"/api/orders/x\", policy = \"Read\" }]",
            ),
            "doctor.token_refused",
            403,
            json!("route.no_policy"),
        ),
        (stage.config.clone(), "", 200, Value::Null),
    ] {
        let ended = stage.asks(&config, &["--token", "-", "--url", &url, "--json"], &token);
        let said = told(&ended);
        let codes = said["checks"].as_array().unwrap().iter().map(|check| &check["code"]);
        assert_eq!(
            codes.filter(|found| **found == code).count(),
            usize::from(!code.is_empty()),
            "{said}"
        );
        assert_eq!(
            (&said["token"]["status"], &said["token"]["refused"]),
            (&json!(status), &refused),
            "{}",
            ended.stdout
        );
    }
}
