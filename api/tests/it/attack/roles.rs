//! Operators' endpoints without the operators' role.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::endpoints;
use crate::auth::{token, with_tokens};
use crate::kit::{ADMIN_TOKEN, send};

/// What an operator could have changed.
const TRACES: &str = "select (select count(*) from audit_log) + (select count(*) from products)
                           + (select count(*) from coupons) + (select count(*) from users)
                           + (select count(*) from paused_lanes)";

async fn traces(pool: &PgPool) -> i64 {
    sqlx::query_scalar(TRACES).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn no_endpoint_of_operators_opens_without_the_role() {
    let (shop, _) = with_tokens().await;
    // What looks like the role, and is another claim, another type or another spelling.
    let claims = [
        json!({}),
        json!({"role": "clerk"}),
        json!({"role": "Admin"}),
        json!({"role": "admin "}),
        json!({"role": ["admin"]}),
        json!({"role": {"admin": true}}),
        json!({"role": true}),
        json!({"roles": ["admin"], "admin": true, "isAdmin": true, "scope": "admin"}),
        json!({"sub": "admin"}),
    ];
    let mut attacked = 0;
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| endpoint.is_for_operators()) {
        let name = endpoint.name();
        assert_eq!(send(endpoint.good(&shop)).await.problem(), (401, "A001"), "{name}");
        for claims in &claims {
            let answer = send(endpoint.good(&shop).bearer_auth(token(claims.clone()))).await;
            assert_eq!(answer.problem(), (403, "A002"), "{name} {claims}");
        }
        // The token of operators is a whole: neither its beginning nor more than it.
        for guess in [ADMIN_TOKEN[1..].to_owned(), format!("{ADMIN_TOKEN}x"), ADMIN_TOKEN.to_uppercase()] {
            assert_eq!(send(endpoint.good(&shop).bearer_auth(guess)).await.problem(), (401, "A001"), "{name}");
        }
        attacked += 1;
    }
    assert!(attacked >= 20, "only {attacked} endpoints of operators were attacked");
    assert_eq!(traces(&shop.pool).await, 0, "nothing was changed");
    // The same calls with the role change something, so it was the role that they lacked.
    for endpoint in endpoints(&shop).await.iter().filter(|endpoint| endpoint.is_for_operators()) {
        let answer = send(endpoint.good(&shop).bearer_auth(token(json!({"role": "admin"})))).await;
        assert!(![401, 403].contains(&answer.status), "{}: {answer:?}", endpoint.name());
    }
    assert!(traces(&shop.pool).await > 0);
}

#[tokio::test]
async fn nobody_becomes_an_operator_by_saying_so() {
    let (shop, mine) = with_tokens().await;
    let claims =
        [("x-role", "admin"), ("x-admin", "true"), ("x-user", "admin"), ("x-original-url", "/api/admin/users")];
    for (header, value) in claims {
        let request = shop.get("/api/admin/users").bearer_auth(&mine).header(header, value);
        assert_eq!(send(request).await.problem(), (403, "A002"), "{header}");
    }
    let override_method = shop.get("/api/admin/users").bearer_auth(&mine).header("x-http-method-override", "POST");
    assert_eq!(send(override_method).await.problem(), (403, "A002"));
    for path in
        ["/api//admin/users", "/api/admin//users", "/API/admin/users", "/api/./admin/users%2f", "/api/admin/users/"]
    {
        let answer = send(shop.get(path).bearer_auth(&mine)).await;
        assert!([403, 404].contains(&answer.status), "{path}: {answer:?}");
        assert!(answer.body["users"] == Value::Null, "{path}: {answer:?}");
    }
}
