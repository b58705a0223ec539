//! Diagram 3: the last coupon, and two who want it.

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn diagram_3_first_come_first_served() {
    let shop = Shop::open().await;
    shop.coupon("LAST", 1).await;

    // Both see one left.
    let (status, offers) = shop.get("/api/coupons").await;
    assert_eq!((status, &offers["coupons"][0]["remainingQuantity"]), (200, &1.into()));

    // Both claim at once: one gets it, the other one is told that it is gone.
    let (one, two) = tokio::join!(shop.decided(shop.claim("LAST", "user1")), shop.decided(shop.claim("LAST", "user2")));
    let (winner, won, lost) = if one.0 == 201 { ("user1", one, two) } else { ("user2", two, one) };
    assert_eq!((won.0, &won.1["couponId"]), (201, &"LAST".into()), "{won:?}");
    assert!(won.1["userCouponId"].is_string() && won.1["expiresAt"].is_string(), "{won:?}");
    assert_eq!((lost.0, &lost.1["code"], &lost.1["error"]), (409, &"C001".into(), &"COUPON_SOLD_OUT".into()));
    assert_eq!(lost.1["message"], "쿠폰이 모두 소진되었습니다.");

    // Who has it and asks again is told that, though it is sold out.
    let (status, again) = shop.decided(shop.claim("LAST", winner)).await;
    assert_eq!((status, &again["code"], &again["error"]), (409, &"C004".into(), &"ALREADY_ISSUED".into()));
    assert_eq!(shop.get("/api/coupons").await.1["coupons"][0]["remainingQuantity"], 0);
    assert!(audit::audit(&shop.pool).await.unwrap().ok);
}
