//! Real orders from two files: `products.csv.gz` (productId, name, price in won, unitsSold) and `orders.csv.gz`
//! (orderNo, orderedAt, userId, items as `productId:quantity` separated by blanks), in the order in which they stand.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use common::limits::{MAX_ORDER_LINES, MAX_QUANTITY_PIECES};
use common::{InvalidId, ProductId, UserId, Won};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Order, Product, Sale, User};

/// Why orders cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file cannot be opened.
    #[error("opening {}", .0.display())]
    Open(PathBuf, #[source] std::io::Error),
    /// A file is not gzipped CSV with the columns that are needed.
    #[error("reading {}", .0.display())]
    Csv(PathBuf, #[source] csv::Error),
    /// A row means nothing.
    #[error("reading {}: {}", .0.display(), .1)]
    Row(PathBuf, String),
}

/// How real orders are replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replay {
    /// Stock as a part of what was sold; with 1 every order can be fulfilled.
    pub stock_factor: f64,
    /// How often all orders shall be affordable and, with a factor of 1, in stock.
    pub rounds: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProductRow {
    product_id: String,
    name: String,
    price: Won,
    units_sold: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderRow {
    order_no: String,
    user_id: String,
    items: String,
}

impl Replay {
    /// Reads the files in a folder.
    ///
    /// # Errors
    /// When a file is not there, or not what it should be; the row is named.
    pub fn read(self, folder: &Path) -> Result<Sale, ReplayError> {
        let path = folder.join("products.csv.gz");
        let products = rows::<ProductRow>(&path)?;
        let products = products.into_iter().map(|row| self.product(row, &path)).collect::<Result<Vec<_>, _>>()?;
        let path = folder.join("orders.csv.gz");
        let mut orders = Vec::new();
        for row in rows::<OrderRow>(&path)? {
            orders.extend(split(row, &path)?);
        }
        let users = self.users(&products, &orders, &path)?;
        Ok(Sale { products, users, orders, ..Sale::default() })
    }

    fn product(self, row: ProductRow, path: &Path) -> Result<Product, ReplayError> {
        let wrong = |error: InvalidId| ReplayError::Row(path.to_owned(), format!("{:?}: {error}", row.product_id));
        Ok(Product {
            product_id: row.product_id.parse().map_err(wrong)?,
            price: row.price,
            stock: self.stock(row.units_sold),
            name: row.name,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "whatever was sold is far below what a float counts exactly")]
    fn stock(self, sold: i64) -> i64 {
        (sold as f64 * self.stock_factor).ceil() as i64 * self.rounds
    }

    /// Everybody who orders, with enough on the balance for everything they order.
    fn users(self, products: &[Product], orders: &[Order], path: &Path) -> Result<Vec<User>, ReplayError> {
        let prices: BTreeMap<_, _> = products.iter().map(|product| (&product.product_id, product.price)).collect();
        let mut spent: BTreeMap<&UserId, Won> = BTreeMap::new();
        for order in orders {
            for (product, pieces) in &order.items {
                let price = prices
                    .get(product)
                    .ok_or_else(|| ReplayError::Row(path.to_owned(), format!("{product} is not among the products")))?;
                *spent.entry(&order.user_id).or_default() += price * pieces;
            }
        }
        let user = |(user_id, won): (&UserId, Won)| User { user_id: user_id.clone(), balance: won * self.rounds };
        Ok(spent.into_iter().map(user).collect())
    }
}

fn rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ReplayError> {
    let file = File::open(path).map_err(|error| ReplayError::Open(path.to_owned(), error))?;
    let mut csv = csv::Reader::from_reader(GzDecoder::new(file));
    csv.deserialize().collect::<Result<_, _>>().map_err(|error| ReplayError::Csv(path.to_owned(), error))
}

/// One order, or several: what has more lines than an order may have is split, as any client would have to.
fn split(row: OrderRow, path: &Path) -> Result<Vec<Order>, ReplayError> {
    let wrong = |what: String| ReplayError::Row(path.to_owned(), format!("order {}: {what}", row.order_no));
    let user_id: UserId = row.user_id.parse().map_err(|error: InvalidId| wrong(error.to_string()))?;
    let items = row.items.split_ascii_whitespace().map(|item| read_item(item).ok_or_else(|| wrong(item.to_owned())));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    let order = |items: &[(ProductId, i64)]| Order { user_id: user_id.clone(), items: items.into(), coupon_id: None };
    Ok(items.chunks(MAX_ORDER_LINES).map(order).collect())
}

fn read_item(item: &str) -> Option<(ProductId, i64)> {
    let (product, pieces) = item.split_once(':')?;
    let pieces = pieces.parse().ok().filter(|pieces| (1..=MAX_QUANTITY_PIECES).contains(pieces))?;
    Some((product.parse().ok()?, pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const ONCE: Replay = Replay { stock_factor: 1.0, rounds: 1 };
    const PRODUCTS: &str = "productId,name,price,unitsSold\nA,\"Globe, small\",100,5\nB,Lamp,2000,1\n";

    fn folder(products: &str, orders: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("products.csv.gz", products), ("orders.csv.gz", orders)] {
            let file = File::create(folder.path().join(name)).unwrap();
            let mut gzip = GzEncoder::new(file, Compression::fast());
            gzip.write_all(text.as_bytes()).unwrap();
            gzip.finish().unwrap();
        }
        folder
    }

    fn orders(rows: &str) -> String {
        format!("orderNo,orderedAt,userId,items\n{rows}")
    }

    #[test]
    fn orders_keep_their_order_and_shoppers_can_pay() {
        let rows = "1,2011-01-01T10:00:00Z,u2,A:3\n2,2011-01-01T10:01:00Z,u1,B:1 A:2\n3,2011-01-01T10:01:00Z,u2,A:1\n";
        let folder = folder(PRODUCTS, &orders(rows));
        let sale = Replay { stock_factor: 0.5, rounds: 2 }.read(folder.path()).unwrap();
        let products: Vec<_> =
            sale.products.iter().map(|product| (&*product.name, product.price, product.stock)).collect();
        assert_eq!(products, [("Globe, small", 100, 6), ("Lamp", 2_000, 2)]);
        let users: Vec<_> = sale.users.iter().map(|user| (user.user_id.as_str(), user.balance)).collect();
        assert_eq!(users, [("u1", 2 * 2_200), ("u2", 2 * 400)]);
        let order_of: Vec<_> = sale.orders.iter().map(|order| order.user_id.as_str()).collect();
        assert_eq!(order_of, ["u2", "u1", "u2"]);
        assert!(sale.claims.is_empty() && sale.campaign.is_none());
    }

    #[test]
    fn long_orders_are_split_into_such_that_may_be_sent() {
        let rows = [(1, vec![1]), (50, vec![50]), (51, vec![50, 1]), (149, vec![50, 50, 49])];
        for (lines, meant) in rows {
            let items = vec!["A:1"; lines].join(" ");
            let folder = folder(PRODUCTS, &orders(&format!("1,2011-01-01T10:00:00Z,u1,{items}\n")));
            let sale = ONCE.read(folder.path()).unwrap();
            assert_eq!(sale.orders.iter().map(|order| order.items.len()).collect::<Vec<_>>(), meant);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let rows = [
            (orders("7,2011-01-01T10:00:00Z,u1,A\n"), "order 7: A"),
            (orders("7,2011-01-01T10:00:00Z,u1,A:0\n"), "order 7: A:0"),
            (orders("7,2011-01-01T10:00:00Z,u1,A:100001\n"), "order 7: A:100001"),
            (orders("7,2011-01-01T10:00:00Z,u 1,A:1\n"), "order 7: a user id"),
            (orders("7,2011-01-01T10:00:00Z,u1,C:1\n"), "C is not among the products"),
            ("orderNo,items\n7,A:1\n".to_owned(), "orders.csv.gz"),
        ];
        for (orders, meant) in rows {
            let folder = folder(PRODUCTS, &orders);
            let error = ONCE.read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(meant), "{error}");
        }
        let error = ONCE.read(Path::new("/nowhere")).unwrap_err().to_string();
        assert_eq!(error, "opening /nowhere/products.csv.gz");
    }
}
