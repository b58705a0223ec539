//! What shoppers do in the storefront.

use serde_json::json;

use crate::browser::Browser;
use crate::shop::Shop;

/// Enters the shop as one of the demo's shoppers, on this page.
pub async fn enter(browser: &Browser, shop: &Shop, user: &str, page: &str) {
    browser.go(&format!("{}/#/sign-in?back={}", shop.base(), page)).await;
    browser.fill("다른 사용자 ID", user).await;
    browser.find("form button[type=submit]").await.click().await.unwrap();
    browser.see("로그아웃").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_shows_its_ticket_through_a_reload_and_becomes_an_outcome() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.coupon("C1", "선착순 쿠폰", 10, 5).await;
    shop.admin("/lanes/coupon:C1/pause", json!({})).await;
    let browser = Browser::open(&programs, "ko").await;
    enter(&browser, &shop, "user1", "/coupons").await;
    browser.see("남은 수량: 5개").await;
    // Both clicks come before the page has heard of an answer.
    browser.button("쿠폰 받기").await;
    browser
        .run(
            "const claim = [...document.querySelectorAll('button')].find((b) => b.textContent.includes('쿠폰 받기')); \
             claim.click(); claim.click();",
        )
        .await;
    browser.see("대기 중입니다").await;
    browser.see("접수 번호").await;
    browser.see("다음 차례입니다").await;
    browser.keep_picture("claim-waiting").await;
    browser.reload().await;
    browser.see("대기 중입니다").await;
    browser.see("접수 번호").await;
    shop.admin("/lanes/coupon:C1/resume", json!({})).await;
    browser.see("쿠폰이 발급되었습니다").await;
    browser.see("남은 수량: 4개").await;
    let asked = shop.admin_get("/requests?userId=user1").await;
    assert_eq!(asked["requests"].as_array().unwrap().len(), 1, "a double click and a reload asked once: {asked}");
    // Again is another wish.
    browser.click("쿠폰 받기").await;
    browser.see("이미 발급받은 쿠폰입니다").await;
    browser.go(&format!("{}/#/wallet", shop.base())).await;
    browser.see("선착순 쿠폰").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_shoppers_and_one_coupon_one_gets_it() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.coupon("LAST", "마지막 쿠폰", 10, 1).await;
    shop.admin("/lanes/coupon:LAST/pause", json!({})).await;
    let (first, second) = tokio::join!(Browser::open(&programs, "ko"), Browser::open(&programs, "ko"));
    for (browser, user) in [(&first, "user1"), (&second, "user2")] {
        enter(browser, &shop, user, "/coupons").await;
        browser.see("남은 수량: 1개").await;
        browser.click("쿠폰 받기").await;
        browser.see("대기 중입니다").await;
    }
    second.see("앞에 1건이 있습니다").await;
    shop.admin("/lanes/coupon:LAST/resume", json!({})).await;
    first.see("쿠폰이 발급되었습니다").await;
    second.see("쿠폰이 모두 소진되었습니다").await;
    first.keep_picture("claim-granted").await;
    second.keep_picture("claim-refused").await;
    first.see("모두 소진").await;
    first.click("쿠폰 받기").await;
    first.see("이미 발급받은 쿠폰입니다").await;
    first.close().await;
    second.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_has_had_its_share_is_told_so() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    let coupon = json!({"couponId": "C1", "name": "주소당 한 장", "discountType": "PERCENT", "discountValue": 10,
                        "totalQuantity": 5, "maxPerAddress": 1});
    shop.admin("/coupons", coupon).await;
    shop.submit("/coupons/C1/issue", json!({"userId": "user2"})).await;
    let browser = Browser::open(&programs, "ko").await;
    enter(&browser, &shop, "user1", "/coupons").await;
    browser.click("쿠폰 받기").await;
    // It is no matter of time, so nothing is sent again.
    browser.see("이 주소에서 받을 수 있는 쿠폰 수를 모두 받았습니다").await;
    browser.see_gone("지금 다시 보내기").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_a_coupon_goes_from_the_search_to_its_details() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.product("P001", "노트북", 50_000, 3).await;
    shop.product("P002", "키보드", 30_000, 3).await;
    shop.user("user1", 100_000).await;
    shop.coupon("TEN", "십 퍼센트", 10, 5).await;
    shop.shopper("/coupons/TEN/issue", json!({"userId": "user1"})).await;
    let browser = Browser::open(&programs, "ko").await;
    enter(&browser, &shop, "user1", "/").await;
    browser.fill("상품 검색", "노트").await;
    browser.click("검색").await;
    browser.see("검색 결과").await;
    browser.see_gone("키보드").await;
    browser.find("a[href='#/products/P001']").await.click().await.unwrap();
    browser.see("50,000원").await;
    browser.see("재고 3개").await;
    browser.click("장바구니 담기").await;
    browser.see("장바구니에 담았습니다").await;
    browser.click("장바구니 보기").await;
    browser.click("주문하기").await;
    browser.field("쿠폰").await.send_keys("십 퍼센트").await.unwrap();
    browser.see("45,000원 결제하기").await;
    browser.click("결제하기").await;
    browser.see("주문이 완료되었습니다").await;
    browser.see("55,000원").await;
    browser.click("주문 상세 보기").await;
    browser.see("노트북").await;
    browser.see("45,000원").await;
    let placed = shop.get("/orders?userId=user1").await;
    assert_eq!(placed["orders"].as_array().unwrap().len(), 1, "{placed}");
    assert_eq!(placed["orders"][0]["finalAmount"], 45_000, "{placed}");
    assert_eq!(shop.get("/cart?userId=user1").await["items"], json!([]));
    // Everybody sees what sells.
    stack::wait_for_async("the order to be counted", crate::shop::DEADLINE, || async {
        (shop.get("/products/popular").await["products"][0]["orderCount"] == 1).then_some(())
    })
    .await;
    browser.go(&format!("{}/#/", shop.base())).await;
    browser.see("인기 상품 Top 5").await;
    browser.see("주문 1건").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shortage_is_shown_by_product_with_a_form_to_hear_of_more() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.product("P001", "노트북", 1_000, 5).await;
    shop.user("user1", 100_000).await;
    let put_in = json!({"userId": "user1", "productId": "P001", "quantity": 5});
    shop.shopper("/cart/items", put_in).await;
    let browser = Browser::open(&programs, "ko").await;
    enter(&browser, &shop, "user1", "/checkout").await;
    browser.button("5,000원 결제하기").await;
    // Somebody else was quicker, after the page had looked.
    shop.user("user2", 100_000).await;
    let other = json!({"userId": "user2", "items": [{"productId": "P001", "quantity": 3}]});
    assert_eq!(shop.shopper("/orders", other).await["finalAmount"], 3_000);
    browser.click("결제하기").await;
    browser.see("노트북의 재고가 부족합니다").await;
    browser.see("요청: 5개 / 현재 재고: 2개").await;
    browser.keep_picture("order-shortage").await;
    browser.fill("재입고 알림을 받을 이메일", "me@example.com").await;
    browser.click("재입고 알림 신청").await;
    browser.see("재입고 시 알려드리겠습니다").await;
    assert_eq!(shop.get("/orders?userId=user1").await["orders"], json!([]));
    // What was promised: the mail comes.
    shop.admin("/products/P001/stock", json!({"delta": -2})).await;
    shop.admin("/products/P001/stock", json!({"delta": 9})).await;
    let mail = stack::wait_for_async("the mail", crate::shop::DEADLINE, || async { shop.world.arrived().mails.pop() });
    assert_eq!(mail.await.to, ["me@example.com"]);
    // Where it is put into the cart it is the same.
    browser.go(&format!("{}/#/products/P001", shop.base())).await;
    browser.fill("수량", "10").await;
    browser.click("장바구니 담기").await;
    browser.see("요청: 10개 / 현재 재고: 9개").await;
    browser.fill("재입고 알림을 받을 이메일", "me@example.org").await;
    browser.click("재입고 알림 신청").await;
    browser.see("재입고 시 알려드리겠습니다").await;
    browser.see("요청: 10개 / 현재 재고: 9개").await;
    // The page that looks first says so before anything is sent.
    browser.go(&format!("{}/#/checkout", shop.base())).await;
    shop.admin("/products/P001/stock", json!({"delta": -8})).await;
    browser.reload().await;
    browser.see("요청: 5개 / 현재 재고: 1개").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_balance_leads_to_the_charge_and_back_to_the_order() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.product("P001", "노트북", 100_000, 5).await;
    shop.user("user1", 30_000).await;
    shop.shopper("/cart/items", json!({"userId": "user1", "productId": "P001", "quantity": 1})).await;
    let browser = Browser::open(&programs, "ko").await;
    enter(&browser, &shop, "user1", "/checkout").await;
    browser.click("결제하기").await;
    browser.see("잔액이 부족합니다").await;
    for amount in ["100,000원", "30,000원", "70,000원"] {
        browser.see(amount).await;
    }
    browser.keep_picture("order-balance-short").await;
    browser.click("잔액 충전하기").await;
    browser.fill("충전 금액", "70000").await;
    browser.field("테스트 카드").await.send_keys("Visa – 한도 초과").await.unwrap();
    browser.click("충전하기").await;
    browser.see("결제에 실패했습니다").await;
    browser.see("카드를 확인해주세요").await;
    browser.field("테스트 카드").await.send_keys("기본 카드").await.unwrap();
    browser.fill("충전 금액", "70000").await;
    browser.click("충전하기").await;
    browser.see("70,000원이 충전되었습니다").await;
    browser.see("현재 잔액: 100,000원").await;
    browser.click("주문으로 돌아가기").await;
    browser.click("결제하기").await;
    browser.see("주문이 완료되었습니다").await;
    assert_eq!(shop.get("/users/balance?userId=user1").await["balance"], 0);
    let taken = shop.world.arrived().ledger;
    assert_eq!(taken.iter().map(|taken| taken.amount).collect::<Vec<_>>(), [70_000], "the card is charged once");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_wants_tokens_has_demo_shoppers_from_the_sandbox() {
    let programs = programs_or_skip!();
    let shop = Shop::open_with_tokens().await;
    shop.coupon("C1", "선착순 쿠폰", 10, 5).await;
    let browser = Browser::open(&programs, "ko").await;
    enter(&browser, &shop, "user1", "/coupons").await;
    browser.click("쿠폰 받기").await;
    browser.see("쿠폰이 발급되었습니다").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_is_claimed_by_keyboard_alone() {
    let programs = programs_or_skip!();
    let shop = Shop::open().await;
    shop.coupon("C1", "선착순 쿠폰", 10, 5).await;
    let browser = Browser::open(&programs, "en").await;
    browser.go(&format!("{}/#/sign-in?back=/coupons", shop.base())).await;
    browser.tab_to("User 1").await;
    browser.press("\u{e007}").await;
    browser.see("Coupons").await;
    browser.tab_to("Claim").await;
    browser.press("\u{e007}").await;
    browser.see("The coupon is yours.").await;
    // Whoever listens hears it: the words stand in a live region.
    let heard =
        browser.run("return [...document.querySelectorAll('[aria-live]')].map((e) => e.textContent).join('|')").await;
    assert!(heard.as_str().unwrap().contains("The coupon is yours."), "{heard}");
    browser.close().await;
}
