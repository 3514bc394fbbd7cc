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

/// A [`Cursor`] that is not kept.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place<'a> {
    pub(crate) value: PlaceValue<'a>,
    pub(crate) id: &'a str,
}

/// A [`SortValue`] that is not kept.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum PlaceValue<'a> {
    Number(u64),
    Text(&'a str),
}

impl<'a> From<&'a Cursor> for Place<'a> {
    fn from(cursor: &'a Cursor) -> Self {
        let value = match &cursor.value {
            SortValue::Number(number) => PlaceValue::Number(*number),
            SortValue::Text(text) => PlaceValue::Text(text),
        };
        Self { value, id: &cursor.id }
    }
}

impl From<Place<'_>> for Cursor {
    fn from(place: Place<'_>) -> Self {
        let value = match place.value {
            PlaceValue::Number(number) => SortValue::Number(number),
            PlaceValue::Text(text) => SortValue::Text(text.to_owned()),
        };
        Self { value, id: place.id.to_owned() }
    }
}

/// The page of `items`, each with its place, that begins after `after`.
pub(crate) fn page_of<'a, T>(
    items: impl Iterator<Item = (Place<'a>, T)>,
    order: Order,
    after: Option<&Cursor>,
    limit: usize,
) -> Page<T> {
    let mut all: Vec<(Place<'a>, T)> = items.collect();
    let total = u64::try_from(all.len()).ok();
    if let Some(after) = after.map(Place::from) {
        all.retain(|(place, _)| match order {
            Order::Ascending => after < *place,
            Order::Descending => *place < after,
        });
    }
    let compare = |a: &(Place<'_>, T), b: &(Place<'_>, T)| match order {
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
    let next = all.last().filter(|_| has_more).map(|(place, _)| Cursor::from(*place));
    Page { items: all.into_iter().map(|(_, item)| item).collect(), total, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 7] = ["0", "1", "2", "3", "4", "5", "6"];

    fn place(number: usize) -> Place<'static> {
        let value = PlaceValue::Number(u64::try_from(number / 2).unwrap());
        Place { value, id: IDS[number] }
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
                let mut expected: Vec<usize> = (0..7).collect();
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
        let page = page_of(items.into_iter(), Order::Ascending, Some(&place(3).into()), 9);
        assert_eq!((page.items, page.next), (vec![5], None));
    }
}
