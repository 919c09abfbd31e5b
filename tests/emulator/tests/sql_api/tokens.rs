//! Who may ask: key-pair tokens really verified, OAuth and programmatic tokens, and which code each fault has.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Client, KEY, OTHER_KEY, Served, claims, now_seconds, send};

async fn code_of(client: &Client) -> (u16, String) {
    let answer = client.submit("select 1", "").await;
    let code = answer.code();
    (answer.status.as_u16(), code)
}

fn changed(field: &str, value: Value) -> Value {
    let mut claims = claims(&KEY, "LOADER");
    claims[field] = value;
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_key_pair_token_has_its_documented_code() {
    let served = Served::calm().await;
    let now = now_seconds();
    let fingerprint = &KEY.fingerprint;
    let named = |account: &str, user: &str| {
        let mut claims = claims(&KEY, "LOADER");
        claims["iss"] = json!(format!("{account}.{user}.{fingerprint}"));
        claims["sub"] = json!(format!("{account}.{user}"));
        claims
    };
    let without = |field: &str| {
        let mut claims = claims(&KEY, "LOADER");
        claims.as_object_mut().unwrap().remove(field);
        claims
    };
    let rs256 = |claims: Value| KEY.sign(Algorithm::RS256, &claims);
    for (what, token, expected) in [
        ("an honest one", rs256(claims(&KEY, "LOADER")), (200, "090001")),
        ("milliseconds", rs256(changed("exp", json!((now + 600) * 1000))), (200, "090001")),
        ("expired", rs256(changed("exp", json!(now - 1))), (401, "394303")),
        ("issued over an hour ago", rs256(changed("iat", json!(now - 3700))), (401, "394302")),
        ("issued in the future", rs256(changed("iat", json!(now + 600))), (401, "394302")),
        ("without iat", rs256(without("iat")), (401, "394301")),
        ("without exp", rs256(without("exp")), (401, "394301")),
        ("another account", rs256(named("OTHERCORP", "LOADER")), (401, "394307")),
        ("an unknown user", rs256(named("ACME", "NOBODY")), (401, "394300")),
        ("a user in lower case", rs256(named("ACME", "loader")), (401, "390144")),
        ("an account in lower case", rs256(named("acme", "LOADER")), (401, "390144")),
        ("iss and sub of two users", rs256(changed("sub", json!("ACME.OTHER"))), (401, "390144")),
        ("iss without a fingerprint", rs256(changed("iss", json!("ACME.LOADER"))), (401, "390144")),
        (
            "an unregistered key",
            OTHER_KEY.sign(Algorithm::RS256, &claims(&OTHER_KEY, "LOADER")),
            (401, "394304"),
        ),
        ("a foreign signature", OTHER_KEY.sign(Algorithm::RS256, &claims(&KEY, "LOADER")), (401, "394306")),
        ("another algorithm", KEY.sign(Algorithm::RS384, &claims(&KEY, "LOADER")), (401, "394305")),
        ("no token at all", "nonsense".to_owned(), (401, "390144")),
    ] {
        let (status, code) = code_of(&served.client_with("KEYPAIR_JWT", &token)).await;
        assert_eq!((status, code.as_str()), expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_changed_after_signing_are_noticed() {
    let served = Served::calm().await;
    let honest = KEY.sign(Algorithm::RS256, &claims(&KEY, "OTHER"));
    let parts: Vec<_> = honest.split('.').collect();
    let forged = URL_SAFE_NO_PAD.encode(claims(&KEY, "LOADER").to_string());
    let token = [parts[0], &forged, parts[2]].join(".");
    assert_eq!(code_of(&served.client_with("KEYPAIR_JWT", &token)).await, (401, "394306".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn oauth_and_programmatic_tokens_are_known_by_value_and_kind() {
    let served = Served::calm().await;
    for (kind, token, expected) in [
        ("OAUTH", "secret-oauth", (200, "090001")),
        ("PROGRAMMATIC_ACCESS_TOKEN", "secret-pat", (200, "090001")),
        ("OAUTH", "wrong", (401, "390303")),
        ("PROGRAMMATIC_ACCESS_TOKEN", "wrong", (401, "394400")),
        ("OAUTH", "secret-pat", (401, "390303")),
        ("PROGRAMMATIC_ACCESS_TOKEN", "secret-oauth", (401, "394400")),
        ("KEYPAIR_JWT", "secret-oauth", (401, "390144")),
        ("WORKLOAD_IDENTITY_FEDERATION", "secret-oauth", (401, "390144")),
    ] {
        let (status, code) = code_of(&served.client_with(kind, token)).await;
        assert_eq!((status, code.as_str()), expected, "{kind} {token}");
    }
    let user = served.client_with("OAUTH", "secret-oauth").submit("select current_user()", "").await;
    assert_eq!(user.json()["data"], json!([["OAUTH_USER"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_type_header_the_token_is_looked_at() {
    let served = Served::calm().await;
    for token in
        [KEY.sign(Algorithm::RS256, &claims(&KEY, "LOADER")), "secret-oauth".into(), "secret-pat".into()]
    {
        let request = served
            .client()
            .http
            .post(format!("{}/api/v2/statements", served.url))
            .header("Authorization", format!("Bearer {token}"))
            .header("Accept", "*/*")
            .header("User-Agent", "x/1")
            .json(&json!({"statement": "select 1"}));
        assert_eq!(send(request).await.unwrap().status, StatusCode::OK, "{token}");
    }
    let anonymous = served.client().http.post(format!("{}/api/v2/statements", served.url));
    assert_eq!(send(anonymous).await.unwrap().status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_judged_at_every_endpoint() {
    let served = Served::calm().await;
    let handle = served.client().submit("select 1", "").await.handle();
    let nobody = served.client_with("OAUTH", "wrong");
    assert_eq!(nobody.get(&handle).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.get(&format!("{handle}?partition=1")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.cancel(&handle).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_today_is_too_old_in_an_hour_of_the_token_clock() {
    let served = Served::calm().await;
    let client = served.client();
    assert_eq!(code_of(&client).await.0, 200);
    served.admin(Method::POST, "/clock", Some(json!({"advance_token_seconds": 3400}))).await;
    assert_eq!(code_of(&client).await, (401, "394303".to_owned()));
    served.admin(Method::POST, "/clock", Some(json!({"advance_token_seconds": 600}))).await;
    assert_eq!(code_of(&client).await, (401, "394302".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_stays_expired_and_a_new_one_works() {
    let served = Served::calm().await;
    served.fault(json!({"kind": "submit", "times": 1}), json!("expired_token")).await;
    let old = served.client();
    assert_eq!(code_of(&old).await, (401, "394303".to_owned()));
    assert_eq!(code_of(&old).await, (401, "394303".to_owned()), "the very same token, for good");
    let fresh = KEY.sign(Algorithm::RS256, &changed("exp", json!(now_seconds() + 1234)));
    assert_eq!(code_of(&served.client_with("KEYPAIR_JWT", &fresh)).await.0, 200);
    served.fault(json!({"times": 1}), json!("expired_token")).await;
    assert_eq!(code_of(&served.client_with("OAUTH", "secret-oauth")).await, (401, "390318".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_refuses_every_token_of_its_user_until_the_rule_goes() {
    let served = Served::calm().await;
    served.fault(json!({"user": "loader", "times": 0}), json!("revoked_key")).await;
    assert_eq!(code_of(&served.client()).await, (401, "394304".to_owned()));
    assert_eq!(code_of(&served.client()).await, (401, "394304".to_owned()));
    assert_eq!(code_of(&served.client_of("OTHER")).await.0, 200);
    served.admin(Method::DELETE, "/faults", None).await;
    assert_eq!(code_of(&served.client()).await.0, 200);
}
