//! Cursors of lists as clients see them: opaque, and good only for the order that they were given for.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use relay_store::{Cursor, Order};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;

/// The most that a page may hold.
pub(super) const MAX_PAGE: usize = 200;

/// Which way a list goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OrderName {
    Asc,
    #[default]
    Desc,
}

impl From<OrderName> for Order {
    fn from(name: OrderName) -> Self {
        match name {
            OrderName::Asc => Self::Ascending,
            OrderName::Desc => Self::Descending,
        }
    }
}

/// What is in a cursor.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Place {
    sort: String,
    order: Order,
    after: Cursor,
}

/// A cursor as a client gets it. `sort` names what the list is sorted by.
pub(super) fn print(sort: &str, order: Order, after: Cursor) -> Result<String, ApiError> {
    let place = Place { sort: sort.to_owned(), order, after };
    Ok(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place)?))
}

/// Reads a cursor that was given for this order.
pub(super) fn read(text: &str, sort: &str, order: Order) -> Result<Cursor, ApiError> {
    let place = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let place = place.and_then(|json| serde_json::from_slice::<Place>(&json).ok());
    let place = place.filter(|place| place.sort == sort && place.order == order);
    let why = "must be the nextCursor of an answer with the same sort and order";
    place.map(|place| place.after).ok_or(ApiError::Invalid { field: "cursor", why })
}

/// How many items a page is to hold; `None`: all of them.
pub(super) fn check_limit(limit: Option<usize>) -> Result<Option<usize>, ApiError> {
    if limit.is_some_and(|limit| !(1..=MAX_PAGE).contains(&limit)) {
        return Err(ApiError::Invalid { field: "limit", why: "must be a number from 1 to 200" });
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use relay_store::SortValue;

    use super::*;

    #[test]
    fn a_cursor_reads_back_for_its_own_order_only() {
        let after = Cursor { value: SortValue::Text("名".to_owned()), id: "k".to_owned() };
        let text = print("name", Order::Ascending, after.clone()).unwrap();
        assert_eq!(read(&text, "name", Order::Ascending).unwrap(), after);
        for (sort, order) in [("name", Order::Descending), ("createdAt", Order::Ascending)] {
            assert!(read(&text, sort, order).is_err(), "{sort} {order:?}");
        }
        for foreign in ["", "x", "bm8", &format!("{text}A"), "e30"] {
            assert!(read(foreign, "name", Order::Ascending).is_err(), "{foreign}");
        }
    }
}
