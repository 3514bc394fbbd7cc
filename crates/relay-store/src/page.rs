//! Pages of a list: a part at a time, from where the last one ended.

use serde::{Deserialize, Serialize};

/// A part of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// What it holds, in the order that was asked for.
    pub items: Vec<T>,
    /// How many there are over all pages, if the store knows.
    pub total: Option<u64>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The same page of something else.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, total, next } = self;
        Page { items: items.into_iter().map(change).collect(), total, next }
    }
}

/// The place of an item in a list: what it is sorted by, and its id among equals. A page that begins after
/// it is right also when the item itself is gone by then.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Cursor {
    /// What the list is sorted by.
    pub value: SortValue,
    /// The item's id.
    pub id: String,
}

/// What a list is sorted by.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SortValue {
    /// A number, such as a moment.
    Number(u64),
    /// A text.
    Text(String),
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The smallest first.
    Ascending,
    /// The greatest first.
    #[default]
    Descending,
}

/// The page of `items`, each with its place, that begins after `after`.
pub(crate) fn page_of<T>(
    items: impl Iterator<Item = (Cursor, T)>,
    order: Order,
    after: Option<&Cursor>,
    limit: usize,
) -> Page<T> {
    let mut all: Vec<(Cursor, T)> = items.collect();
    let total = u64::try_from(all.len()).ok();
    if let Some(after) = after {
        all.retain(|(place, _)| match order {
            Order::Ascending => after < place,
            Order::Descending => place < after,
        });
    }
    let compare = |a: &(Cursor, T), b: &(Cursor, T)| match order {
        Order::Ascending => a.0.cmp(&b.0),
        Order::Descending => b.0.cmp(&a.0),
    };
    let has_more = limit < all.len();
    if has_more && limit > 0 {
        // Only what is on the page is put in order.
        all.select_nth_unstable_by(limit - 1, compare);
    }
    all.truncate(limit);
    all.sort_unstable_by(compare);
    let next = all.last().filter(|_| has_more).map(|(place, _)| place.clone());
    Page { items: all.into_iter().map(|(_, item)| item).collect(), total, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Cursor {
        Cursor { value: SortValue::Number(number / 2), id: number.to_string() }
    }

    #[test]
    fn pages_put_together_are_the_list() {
        for order in [Order::Ascending, Order::Descending] {
            for limit in 1..=8 {
                let (mut seen, mut after) = (Vec::new(), None);
                loop {
                    let items = [5, 1, 4, 2, 6, 3, 0].map(|number| (place(number), number));
                    let page = page_of(items.into_iter(), order, after.as_ref(), limit);
                    assert_eq!(page.total, Some(7));
                    seen.extend(page.items);
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                let mut expected: Vec<u64> = (0..7).collect();
                if order == Order::Descending {
                    expected.reverse();
                }
                assert_eq!(seen, expected, "{order:?}, {limit} at a time");
            }
        }
    }

    #[test]
    fn an_item_that_is_gone_still_marks_its_place() {
        let items = [0, 1, 5].map(|number| (place(number), number));
        let page = page_of(items.into_iter(), Order::Ascending, Some(&place(3)), 9);
        assert_eq!((page.items, page.next), (vec![5], None));
    }
}
