//! Finding products by name.

use serde_json::Value;
use sqlx::Executor;
use stack::wait_for_async;

use crate::kit::{DEADLINE, Shop, send};

async fn found(shop: &Shop, search: &str) -> Vec<String> {
    let answer = send(shop.get("/api/products").query(&[("q", search)])).await;
    assert_eq!(answer.status, 200, "{search}: {answer:?}");
    let id = |product: &Value| product["productId"].as_str().unwrap().to_owned();
    answer.body["products"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn names_are_found_by_any_part() {
    let shop = Shop::open().await;
    // The second 가방 is spelt with the pieces of its syllables, as one keyboard in two sends it.
    let names = "insert into products (product_id, name, price, stock, stocked) values
        ('A1', '게이밍 노트북', 1, 1, 1), ('A2', '노트북 가방', 1, 1, 1), ('A3', normalize('가방', NFD), 1, 1, 1),
        ('B1', 'Ｄesk Lamp', 1, 1, 1), ('B2', '100% cotton_bag', 1, 1, 1), ('B3', '북노트', 1, 1, 1)";
    shop.pool.execute(names).await.unwrap();
    let rows: [(&str, &[&str]); 15] = [
        ("노트북", &["A1", "A2"]),
        ("노트", &["A1", "A2", "B3"]),
        ("북", &["A1", "A2", "B3"]),
        ("가방", &["A2", "A3"]),
        ("\u{1100}\u{1161}\u{1107}\u{1161}\u{11bc}", &["A2", "A3"]),
        ("밍 노", &["A1"]),
        ("밍노", &[]),
        ("desk lamp", &["B1"]),
        ("LAMP", &["B1"]),
        ("%", &["B2"]),
        ("_", &["B2"]),
        ("100% c", &["B2"]),
        ("0%0", &[]),
        ("  가방 ", &["A2", "A3"]),
        ("", &["A1", "A2", "A3", "B1", "B2", "B3"]),
    ];
    for (search, meant) in rows {
        assert_eq!(found(&shop, search).await, meant, "{search:?}");
    }
    let pages = send(shop.get("/api/products?limit=1&cursor=A1").query(&[("q", "노트북")])).await.body;
    assert_eq!((&pages["products"][0]["productId"], &pages["nextCursor"]), (&"A2".into(), &Value::Null));
    let long = send(shop.get("/api/products").query(&[("q", "가".repeat(101))])).await;
    assert_eq!((long.problem(), &long.body["errors"][0]["field"]), ((400, "V001"), &"q".into()));
}

#[tokio::test]
async fn a_search_in_a_large_catalogue_asks_the_index() {
    let shop = Shop::open().await;
    let many = "insert into products (product_id, name, price, stock, stocked)
                select 'P' || number, '상품 ' || number || ' 번', 1, 1, 1 from generate_series(1, 20000) as number;
                update products set name = '노트북' where product_id = 'P19999';
                analyze products";
    shop.pool.execute(many).await.unwrap();
    assert_eq!(found(&shop, "노트북").await, ["P19999"]);
    // What everybody has is found by going through the products: the first page is full at once.
    assert_eq!(found(&shop, "상품").await.len(), 20);
    let scans = "select idx_scan from pg_stat_user_indexes where indexrelname = 'products_search'";
    wait_for_async("the index to have been asked", DEADLINE, || async {
        let scans: i64 = sqlx::query_scalar(scans).fetch_one(&shop.pool).await.unwrap();
        (scans > 0).then_some(())
    })
    .await;
}
