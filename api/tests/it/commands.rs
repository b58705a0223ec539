//! Entering the line: what is refused for its shape, what a key means, what is told about acceptance.

use common::Refusal;
use reqwest::Method;
use serde_json::{Value, json};
use stack::wait_for_async;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::{DEADLINE, Plan, Shop, send};
use crate::worker::{Worker, no, yes};

#[tokio::test]
async fn bad_input_is_named_by_member_and_nothing_enters() {
    let shop = Shop::open().await;
    let item = |id: &str, quantity: Value| json!({"productId": id, "quantity": quantity});
    let order = |items: Value| json!({"userId": "user1", "items": items});
    let many: Vec<Value> = (0..51).map(|i| item(&format!("P{i}"), json!(1))).collect();
    let rows = [
        ("/api/coupons/C1/issue", json!({}), "userId"),
        ("/api/coupons/C1/issue", json!({"userId": null}), "userId"),
        ("/api/coupons/C1/issue", json!({"userId": 7}), "userId"),
        ("/api/coupons/C1/issue", json!({"userId": "-user"}), "userId"),
        ("/api/coupons/C1/issue", json!({"userId": "u".repeat(65)}), "userId"),
        ("/api/coupons/C1/issue", json!([]), "body"),
        ("/api/coupons/-C1/issue", json!({"userId": "user1"}), "couponId"),
        ("/api/coupons/C%201/issue", json!({"userId": "user1"}), "couponId"),
        ("/api/orders", json!({"userId": "user1"}), "items"),
        ("/api/orders", order(json!([])), "items"),
        ("/api/orders", order(json!(many)), "items"),
        ("/api/orders", order(json!("P1")), "items"),
        ("/api/orders", order(json!([item("P1", json!(0))])), "items[0].quantity"),
        ("/api/orders", order(json!([item("P1", json!(-1))])), "items[0].quantity"),
        ("/api/orders", order(json!([item("P1", json!(1)), item("P2", json!(100_001))])), "items[1].quantity"),
        ("/api/orders", order(json!([item("P1", json!(1.5))])), "items[0].quantity"),
        ("/api/orders", order(json!([item("P1", json!("1"))])), "items[0].quantity"),
        ("/api/orders", order(json!([item("P 1", json!(1))])), "items[0].productId"),
        ("/api/orders", order(json!([{"productId": "P1"}])), "items[0].quantity"),
        ("/api/orders", json!({"items": [item("P1", json!(1))]}), "userId"),
        ("/api/orders", json!({"userId": "user1", "items": [item("P1", json!(1))], "couponId": ""}), "couponId"),
        ("/api/orders", json!({"userId": "user1", "items": [item("P1", json!(1))], "finalAmount": -1}), "finalAmount"),
    ];
    for (path, body, field) in rows {
        let answer = send(shop.post(path, &body)).await;
        assert_eq!(answer.problem(), (400, "V001"), "{path} {body}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{path} {body}: {answer:?}");
    }
    for group in ["coupon", "order"] {
        assert_eq!(Worker::of(&shop, group).lanes.depth(1).await.unwrap().waiting, 0);
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_and_keys_that_are_none() {
    let shop = Shop::open().await;
    let orders = || shop.request(Method::POST, "/api/orders");
    let json_type = ("content-type", "application/json");
    let claim = || shop.post("/api/coupons/C1/issue", &json!({"userId": "user1"}));
    let rows = [
        (orders().header(json_type.0, json_type.1).body(r#"{"userId":"#), 400, "userId"),
        (orders().header(json_type.0, json_type.1).body("{"), 400, "body"),
        (orders().header(json_type.0, json_type.1).body(""), 400, "body"),
        (orders().header("content-type", "text/plain").body("{}"), 415, "Content-Type"),
        (orders().body("{}"), 415, "Content-Type"),
        (orders().header(json_type.0, json_type.1).body(" ".repeat(16 * 1024 + 1)), 413, "body"),
        (claim().header("idempotency-key", "two words"), 400, "Idempotency-Key"),
        (claim().header("idempotency-key", "k".repeat(256)), 400, "Idempotency-Key"),
        (claim().header("idempotency-key", "a").header("idempotency-key", "b"), 400, "Idempotency-Key"),
    ];
    for (request, status, field) in rows {
        let answer = send(request).await;
        assert_eq!(answer.problem(), (status, "V001"), "{answer:?}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{answer:?}");
    }
}

#[tokio::test]
async fn accepted_commands_get_a_ticket_and_an_address() {
    let shop = Shop::open().await;
    let order = json!({"userId": "user1", "color": "ignored", "items": [
        {"productId": "P1", "quantity": 1}, {"productId": "P2", "quantity": 2}, {"productId": "P1", "quantity": 3}
    ]});
    for (ticket, position) in [(1, 0), (2, 1), (3, 2)] {
        let answer = send(shop.post("/api/orders", &order)).await;
        assert_eq!(answer.status, 202);
        let id = answer.body["requestId"].as_str().unwrap();
        assert_eq!(answer.header("location"), format!("/api/requests/{id}"));
        assert_eq!(answer.header("retry-after"), "1");
        let meant = json!({
            "requestId": id, "kind": "ORDER_PLACEMENT", "status": "QUEUED", "ticket": ticket, "position": position,
            "nextPollMs": 200, "acceptedAt": answer.body["acceptedAt"],
        });
        assert_eq!(answer.body, meant);
        assert_eq!(send(shop.get(answer.header("location"))).await.body, meant);
    }
    let batch = Worker::of(&shop, "order").claim().await;
    assert_eq!(batch.entries.len(), 3);
    assert_eq!(batch.entries[0].lanes, ["product:P1", "product:P2", "user:user1"]);
    assert_eq!(shop.metric("droplane_accepted_total{group=\"order\"}").await, 3.0);
}

#[tokio::test]
async fn the_same_key_is_the_same_request() {
    let shop = Shop::open().await;
    let worker = Worker::of(&shop, "order");
    let order = |quantity: i64| json!({"userId": "user1", "items": [{"productId": "P1", "quantity": quantity}]});
    let send_with =
        |key: &'static str, body: Value| send(shop.post("/api/orders", &body).header("idempotency-key", key));
    let first = send_with("k1", order(1)).await;
    let id = first.body["requestId"].clone();

    // In flight, and written in another way.
    let again =
        send_with("k1", json!({"items": [{"quantity": 1, "productId": "P1", "x": 1}], "userId": "user1"})).await;
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(send_with("k1", order(2)).await.problem(), (422, "R002"));
    let other_key = send_with("k2", order(1)).await;
    assert_ne!(other_key.body["requestId"], id);
    let other_user = json!({"userId": "user2", "items": [{"productId": "P1", "quantity": 1}]});
    assert_ne!(send_with("k1", other_user).await.body["requestId"], id);
    assert_eq!(worker.lanes.depth(1).await.unwrap().waiting, 3);

    worker.decide(yes).await;
    let later = send_with("k1", order(1)).await;
    assert_eq!((later.status, &later.body["status"]), (202, &"SUCCEEDED".into()));
    assert_eq!(later.body["requestId"], id);
    assert_eq!(later.header("retry-after"), "");
    let waited =
        send(shop.post("/api/orders", &order(1)).header("idempotency-key", "k1").header("prefer", "wait=9")).await;
    assert_eq!((waited.status, &waited.body["orderId"]), (201, &id));
    assert_eq!(send_with("k1", order(2)).await.problem(), (422, "R002"));
    assert_eq!(worker.lanes.depth(1).await.unwrap().waiting, 0);
    assert_eq!(shop.metric("droplane_repeated_total{group=\"order\"}").await, 3.0);
}

#[tokio::test]
async fn a_repeat_waits_for_the_first() {
    let shop = Shop::open().await;
    let claim = || shop.post("/api/coupons/C1/issue", &json!({"userId": "user1"})).header("idempotency-key", "k1");
    let id = send(claim()).await.body["requestId"].clone();
    let waiting = tokio::spawn(send(claim().header("prefer", "wait=30")));
    Worker::of(&shop, "coupon").decide(yes).await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, &answer.body["userCouponId"]), (201, &id));
}

#[tokio::test]
async fn whoever_waits_gets_the_answer_of_the_diagrams() {
    let shop = Shop::open().await;
    let worker = Worker::of(&shop, "order");
    let order = json!({"userId": "user1", "items": [{"productId": "P1", "quantity": 1}], "finalAmount": 5_000});
    let place = || shop.post("/api/orders", &order).header("prefer", "wait=30");

    let waiting = tokio::spawn(send(place()));
    let receipts = worker.decide(yes).await;
    let answer = waiting.await.unwrap();
    let id = receipts[0].request_id.to_string();
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("preference-applied"), "wait");
    assert_eq!(answer.header("location"), format!("/api/requests/{id}"));
    let meant = json!({
        "orderId": id, "totalAmount": 3_000, "discountAmount": 0, "finalAmount": 3_000, "remainingBalance": 7_000
    });
    assert_eq!(answer.body, meant);

    let waiting = tokio::spawn(send(place().header("accept-language", "en")));
    worker.decide(no(Refusal::AmountMismatch { expected_amount: 3_000, actual_amount: 5_000 })).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer.problem(), (409, "O002"));
    assert_eq!(answer.header("preference-applied"), "wait");
    assert_eq!((&answer.body["expectedAmount"], &answer.body["actualAmount"]), (&3_000.into(), &5_000.into()));
    assert!(answer.body["message"].as_str().unwrap().is_ascii());

    let in_vain = send(shop.post("/api/orders", &order).header("prefer", "wait=1")).await;
    assert_eq!((in_vain.status, &in_vain.body["status"]), (202, &"QUEUED".into()));
    assert_eq!(in_vain.header("preference-applied"), "");
}

/// What a "no" costs decides how many are served when too many come: nothing is read into it, and nothing written of it.
#[tokio::test]
async fn whoever_finds_no_room_is_neither_looked_into_nor_written_down() {
    let shop = Plan::default().env("QUEUE_MAX_DEPTH", "1").open().await;
    let order = |user: Value| json!({"userId": user, "items": [{"productId": "P1", "quantity": 1}]});
    let rows = [
        ("/api/coupons/C1/issue", json!({"userId": "user1"}), json!({"userId": 7})),
        ("/api/orders", order(json!("user1")), order(json!(7))),
        (
            "/api/users/balance/charge",
            json!({"userId": "user1", "amount": 1_000}),
            json!({"userId": 7, "amount": 1_000}),
        ),
    ];
    for (path, right, wrong) in rows {
        assert_eq!(send(shop.post(path, &right)).await.status, 202, "{path}");
        let post = |body: &Value| shop.post(path, body).header("x-request-id", "no-room");
        // It is believed to be full only for a moment after somebody found it so.
        wait_for_async(&format!("what makes no sense to find no room: {path}"), DEADLINE, async || {
            assert_eq!(send(post(&right)).await.problem(), (503, "R004"), "{path}");
            (send(post(&wrong)).await.problem() == (503, "R004")).then_some(())
        })
        .await;
    }
    shop.wait_for_log("no-room");
    let log = shop.api.log();
    let mut lines = log.lines().filter(|line| line.contains("no-room"));
    assert!(lines.all(|line| line.contains("DEBUG access: POST ")), "{log}");
}

/// It is thrown away within the bounds of every other, or a crowd of such would keep the door busy.
#[tokio::test]
async fn a_body_without_end_that_finds_no_room_is_not_read_to_its_end() {
    // Far more than is thrown away after an answer.
    const CHUNKS_MAX: usize = 32 * 1024;
    let shop = Plan::default().env("QUEUE_MAX_DEPTH", "1").open().await;
    shop.claim("C1", "user1").await;
    let head = "POST /api/coupons/C2/issue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    wait_for_async("a no for want of room", DEADLINE, async || {
        assert_eq!(send(shop.post("/api/coupons/C2/issue", &json!({"userId": "user2"}))).await.status, 503);
        let client = TcpStream::connect(shop.base.trim_start_matches("http://")).await.unwrap();
        let (mut hears, mut says) = client.into_split();
        says.write_all(head.as_bytes()).await.unwrap();
        let saying = async {
            for sent in 0..CHUNKS_MAX {
                if says.write_all(chunk.as_bytes()).await.is_err() {
                    return sent;
                }
            }
            CHUNKS_MAX
        };
        let hearing = async {
            let mut answer = [0; 1024];
            let length = hears.read(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer[..length]).into_owned()
        };
        let (sent, answer) = tokio::join!(saying, hearing);
        assert!(sent < CHUNKS_MAX, "{sent} chunks were taken");
        assert!(answer.contains("connection: close"), "{answer}");
        // Whoever is looked into hears that it is too much.
        answer.starts_with("HTTP/1.1 503 ").then_some(())
    })
    .await;
}

/// A crowd that had to connect anew for each "no" would cost more than the "no".
#[tokio::test]
async fn whoever_finds_no_room_keeps_the_connection() {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    // Wrong, so that whoever looks into it says 400.
    const BODY: &str = r#"{"userId":7}"#;
    let shop = Plan::default().env("QUEUE_MAX_DEPTH", "1").open().await;
    shop.claim("C1", "user1").await;
    let head = format!(
        "POST /api/coupons/C2/issue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    );
    let next = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    wait_for_async("a no for want of room", DEADLINE, async || {
        assert_eq!(send(shop.post("/api/coupons/C2/issue", &json!({"userId": "user2"}))).await.status, 503);
        let mut client = TcpStream::connect(shop.base.trim_start_matches("http://")).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        let mut told = [0; CONTINUE.len()];
        client.read_exact(&mut told).await.unwrap();
        assert_eq!(told, CONTINUE, "the body is asked for");
        client.write_all(format!("{BODY}{next}").as_bytes()).await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert!(answers.contains("HTTP/1.1 200 OK"), "{answers}");
        answers.starts_with("HTTP/1.1 503 ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_line_refuses() {
    let shop = Plan::default().env("QUEUE_MAX_DEPTH", "2").open().await;
    // Half of the line is for one lane.
    shop.claim("C1", "user1").await;
    let same_lane = send(shop.post("/api/coupons/C1/issue", &json!({"userId": "user2"}))).await;
    assert_eq!(same_lane.problem(), (503, "R004"));
    assert_eq!(same_lane.header("retry-after"), "1");
    shop.claim("C2", "user1").await;
    let whole_group = send(shop.post("/api/coupons/C3/issue", &json!({"userId": "user1"}))).await;
    assert_eq!(whole_group.problem(), (503, "R004"));
    Worker::of(&shop, "coupon").decide(yes).await;
    // For a moment it is still believed to be full.
    wait_for_async("somebody to be let in", DEADLINE, async || {
        let again = send(shop.post("/api/coupons/C3/issue", &json!({"userId": "user1"}))).await;
        (again.status == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn coupons_are_spread_over_their_groups() {
    let shop = Plan::default().env("COUPON_GROUPS", "4").open().await;
    let mut groups = std::collections::BTreeSet::new();
    for coupon in ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8"] {
        let id = shop.claim(coupon, "user1").await;
        let group = common::RequestId::parse(&id).unwrap().group().unwrap().to_string();
        let batch = Worker::of(&shop, &group).claim().await;
        assert_eq!(batch.entries[0].lanes, [format!("coupon:{coupon}")]);
        assert_eq!(send(shop.get(&format!("/api/requests/{id}"))).await.body["status"], "PROCESSING");
        groups.insert(group);
    }
    assert!(groups.len() > 1, "{groups:?}");
}

#[tokio::test]
async fn one_shopper_cannot_send_without_end() {
    let shop = Plan::default().env("RATE_LIMIT_PER_USER", "3/s").open().await;
    let claim = async |user: &str| send(shop.post("/api/coupons/C1/issue", &json!({"userId": user}))).await;
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(claim("user1").await);
    }
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert!(accepted.len() >= 3 && !refused.is_empty(), "{answers:?}");
    for answer in &refused {
        assert_eq!(answer.problem(), (429, "R003"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(claim("user2").await.status, 202, "the others are not held up");
    let series = "droplane_refused_total{group=\"coupon\",reason=\"rate_limited\"}";
    assert_eq!(shop.metric(series).await, refused.len() as f64);
    wait_for_async("the next one to be let in", DEADLINE, || async {
        (claim("user1").await.status == 202).then_some(())
    })
    .await;
    let wrong = send(shop.post("/api/orders", &json!({"userId": "user1", "items": []}))).await;
    assert_eq!(wrong.problem(), (400, "V001"), "what is malformed is told before it is counted");
}
