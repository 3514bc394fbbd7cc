//! Moments in any text that JavaScript's `Date` reads. v1 keeps the end of a key as whoever set it wrote it.
//!
//! The language fixes one form, ISO 8601, and leaves the others to whoever implements it. They are read as the
//! runtime of v1 and v2 reads them: numbers, names of months and zones in nearly any order, in which words
//! before the first number and all that is in parentheses mean nothing.

mod text;

use relay_domain::{Calendar, Timestamp};

use self::text::{Cursor, Token, milliseconds, tokens, value};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// How far from 1970 a moment of JavaScript may lie, in milliseconds.
const FURTHEST: i64 = 100_000_000 * DAY;
/// A year that is further away than any moment.
const YEARS: std::ops::RangeInclusive<i64> = -300_000..=300_000;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// The zones that have a name, with the hours that they are ahead of UTC.
const ZONES: [(&str, i64); 12] = [
    ("z", 0),
    ("ut", 0),
    ("utc", 0),
    ("gmt", 0),
    ("est", -5),
    ("edt", -4),
    ("cst", -6),
    ("cdt", -5),
    ("mst", -7),
    ("mdt", -6),
    ("pst", -8),
    ("pdt", -7),
];

/// Reads a moment. What names no zone is the operator's local time, but a day in ISO's form is in UTC.
/// A moment before 1970 reads as the start of 1970. `None` if JavaScript makes an invalid date of it.
pub(crate) fn parse(text: &str, calendar: Calendar) -> Option<Timestamp> {
    let tokens = tokens(text);
    let mut at = Cursor { tokens: &tokens };
    let (days, is_whole) = iso_day(&mut at);
    let shown = if is_whole { iso_rest(&days, at) } else { None };
    shown.or_else(|| loose(days, at))?.moment(calendar)
}

/// What calendar and clock show.
struct Shown {
    year: i64,
    month: i64,
    /// 1 to 31. What the month lacks is counted on in the next.
    day: i64,
    /// Since midnight, in milliseconds.
    time: i64,
    /// How far that clock is ahead of UTC, in minutes; `None`: the operator's.
    ahead: Option<i64>,
}

impl Shown {
    fn moment(&self, calendar: Calendar) -> Option<Timestamp> {
        if !YEARS.contains(&self.year) {
            return None;
        }
        let local = (days_before(self.year, self.month) + self.day - 1) * DAY + self.time;
        let Some(ahead) = self.ahead else {
            // No zone is more than a day ahead or behind.
            let is_before_1970 = local < -DAY;
            let is_in_range = local.abs() <= FURTHEST;
            let moment =
                if is_before_1970 { Timestamp::EPOCH } else { calendar.moment_at_local(local) };
            return is_in_range.then_some(moment);
        };
        let utc = local - ahead * MINUTE;
        (utc.abs() <= FURTHEST).then(|| Timestamp::from_millis(u64::try_from(utc).unwrap_or(0)))
    }
}

/// How many days lie between the start of 1970 and that of a month.
fn days_before(year: i64, month: i64) -> i64 {
    const COMMON: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let last = year - 1;
    let leap_days = last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let of_months = usize::try_from(month - 1).ok().and_then(|at| COMMON.get(at));
    // 719,162 days lie between the years 1 and 1970.
    last * 365 + leap_days - 719_162
        + of_months.copied().unwrap_or(0)
        + i64::from(is_leap && 2 < month)
}

/// The day at the start of a text in the form that the language fixes: a year, and perhaps a month and a day.
/// Says what it found, which may be nothing, and whether it ends as one does.
fn iso_day(at: &mut Cursor<'_>) -> (Vec<i64>, bool) {
    let year = match at.sign() {
        Some(1) => at.number_of(6),
        Some(sign) => at.number_if(6, |year| year != 0).map(|year| sign * year),
        None => at.number_of(4),
    };
    let Some(year) = year else { return (Vec::new(), false) };
    let mut found = vec![year];
    for most in [12, 31] {
        if !at.skip('-') {
            break;
        }
        match at.number_if(2, |number| (1..=most).contains(&number)) {
            Some(number) => found.push(number),
            None => return (found, false),
        }
    }
    (found, true)
}

/// What is behind the day in that form: nothing, or a time.
fn iso_rest(days: &[i64], mut at: Cursor<'_>) -> Option<Shown> {
    let (year, month, day) = (*days.first()?, days.get(1), days.get(2));
    let (month, day) = (month.copied().unwrap_or(1), day.copied().unwrap_or(1));
    let (mut time, mut ahead) = (0, Some(0));
    if at.skip_word("t") {
        time = iso_time(&mut at)?;
        ahead = if at.skip_word("z") {
            Some(0)
        } else if let Some(sign) = at.sign() {
            Some(sign * iso_offset(&mut at)?)
        } else {
            None
        };
    }
    at.peek().is_none().then_some(Shown { year, month, day, time, ahead })
}

fn iso_time(at: &mut Cursor<'_>) -> Option<i64> {
    let hour = at.number_of(2)?;
    let minute = if at.skip(':') { at.number_of(2)? } else { return None };
    if !at.skip(':') {
        return time_of_day([hour, minute, 0, 0]);
    }
    let second = at.number_of(2)?;
    let fraction = if at.skip('.') { milliseconds(at.digits()?) } else { 0 };
    time_of_day([hour, minute, second, fraction])
}

fn iso_offset(at: &mut Cursor<'_>) -> Option<i64> {
    let digits = at.digits()?;
    let (hour, minute) = match digits.len() {
        2 if at.skip(':') => (value(digits), at.number_of(2)?),
        4 => (value(digits) / 100, value(digits) % 100),
        _ => return None,
    };
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// The milliseconds since midnight of hours, minutes, seconds and milliseconds.
fn time_of_day([hour, minute, second, milliseconds]: [i64; 4]) -> Option<i64> {
    let time = (hour * 60 + minute) * MINUTE + second * 1_000 + milliseconds;
    let is_time = hour < 24 && minute < 60 && second < 60 && milliseconds < 1_000;
    (is_time || (hour == 24 && time == DAY)).then_some(time)
}

/// Every other form, `days` of which have been read.
fn loose(days: Vec<i64>, mut at: Cursor<'_>) -> Option<Shown> {
    let mut found = Found { has_number: !days.is_empty(), days, ..Found::default() };
    while let Some(token) = at.next() {
        match token {
            Token::Number(digits) => found.take_number(digits, &mut at)?,
            Token::Word(word) => found.take_word(word, &mut at)?,
            Token::Symbol(sign @ ('+' | '-')) if found.may_have_offset() => {
                found.take_offset(if *sign == '+' { 1 } else { -1 }, &mut at)?;
            }
            Token::Symbol('+' | '-' | ')') if found.has_number => return None,
            Token::Symbol('(') => at.skip_parentheses(),
            Token::Symbol(_) | Token::Space => {}
        }
    }
    found.shown()
}

/// What was found of a moment.
#[derive(Default)]
struct Found {
    /// Whether there was any number.
    has_number: bool,
    /// At most three of year, month and day, as they came.
    days: Vec<i64>,
    /// The month that was named.
    month: Option<i64>,
    /// At most hour, minute, second and milliseconds.
    time: Vec<i64>,
    /// Of a clock of twelve hours: the hours before its time.
    half: Option<i64>,
    /// 1 if the zone is ahead of UTC, -1 if it is behind.
    sign: Option<i64>,
    hours_ahead: Option<i64>,
    minutes_ahead: Option<i64>,
}

impl Found {
    fn take_number(&mut self, digits: &str, at: &mut Cursor<'_>) -> Option<()> {
        self.has_number = true;
        let number = value(digits);
        if at.skip(':') {
            if at.skip(':') {
                // A minute that is left out.
                return self.time.is_empty().then(|| self.time.extend([number, 0]));
            }
            self.add_time(number)?;
            at.skip('.');
            return Some(());
        }
        if at.skip('.') && self.expects_time(number) {
            self.add_time(number)?;
            // Which is so behind minutes too, as if they were seconds.
            let fraction = milliseconds(at.digits()?);
            if self.time.len() < 4 {
                self.time.push(fraction);
            }
            self.time.resize(4, 0);
        } else if self.hours_ahead.is_some() && self.minutes_ahead.is_none() && number < 60 {
            self.minutes_ahead = Some(number);
        } else if self.expects_time(number) {
            self.add_time(number)?;
            self.time.resize(4, 0);
            return match at.peek() {
                None | Some(Token::Space | Token::Symbol('+' | '-')) => Some(()),
                Some(Token::Word(word)) => (word == "z").then_some(()),
                Some(Token::Number(_) | Token::Symbol(_)) => None,
            };
        } else {
            if self.days.len() == 3 {
                return None;
            }
            self.days.push(number);
            at.skip('-');
        }
        Some(())
    }

    fn take_word(&mut self, word: &str, at: &mut Cursor<'_>) -> Option<()> {
        let is_named = |name: &&str| word.starts_with(*name);
        let zone = ZONES.iter().find(|(name, _)| *name == word);
        if let ("am" | "pm", false) = (word, self.time.is_empty()) {
            self.half = Some(if word == "pm" { 12 } else { 0 });
        } else if let Some(month) = (1..).zip(MONTHS).find(|(_, name)| is_named(name)) {
            self.month = Some(month.0);
            at.skip('-');
        } else if let (Some((_, hours)), true) = (zone, self.has_number) {
            self.sign = Some(if *hours < 0 { -1 } else { 1 });
            self.hours_ahead = Some(hours.abs());
            self.minutes_ahead = Some(0);
        } else if self.has_number || matches!(at.peek(), Some(Token::Number(_))) {
            return None;
        }
        Some(())
    }

    /// Whether a sign begins an offset from UTC here.
    fn may_have_offset(&self) -> bool {
        let is_utc = self.hours_ahead == Some(0) && self.minutes_ahead == Some(0);
        is_utc || !self.time.is_empty()
    }

    fn take_offset(&mut self, sign: i64, at: &mut Cursor<'_>) -> Option<()> {
        let digits = at.digits().unwrap_or_default();
        let number = value(digits);
        self.has_number = true;
        self.sign = Some(sign);
        let (hours, minutes) = match digits.len() {
            _ if at.peek() == Some(&Token::Symbol(':')) => (number, None),
            1 | 2 => (number, Some(0)),
            3 | 4 => (number / 100, Some(number % 100)),
            _ => return None,
        };
        (self.hours_ahead, self.minutes_ahead) = (Some(hours), minutes);
        Some(())
    }

    /// Whether `number` goes on with a time that has begun.
    fn expects_time(&self, number: i64) -> bool {
        match self.time.len() {
            1 | 2 => number < 60,
            3 => number < 1_000,
            _ => false,
        }
    }

    fn add_time(&mut self, number: i64) -> Option<()> {
        (self.time.len() < 4).then(|| self.time.push(number))
    }

    fn shown(self) -> Option<Shown> {
        // What is not said of a day is the first.
        let number = |at: usize| self.days.get(at).copied().unwrap_or(1);
        let (first, second, third) = (*self.days.first()?, number(1), number(2));
        let is_day = |number: i64| (1..=31).contains(&number);
        let (year, month, day) = match (self.month, is_day(first)) {
            (None, true) => (third, first, second),
            (None, false) => (first, second, third),
            (Some(month), true) => (second, month, first),
            (Some(month), false) => (first, month, second),
        };
        let year = match year {
            0..=49 => 2000 + year,
            50..=99 => 1900 + year,
            _ => year,
        };
        if !(1..=12).contains(&month) || !is_day(day) {
            return None;
        }
        let part = |at: usize| self.time.get(at).copied().unwrap_or(0);
        let hour = match self.half {
            None => part(0),
            Some(before) if part(0) <= 12 => part(0) % 12 + before,
            Some(_) => return None,
        };
        let time = time_of_day([hour, part(1), part(2), part(3)])?;
        let (hours, minutes) = (self.hours_ahead.unwrap_or(0), self.minutes_ahead.unwrap_or(0));
        let ahead = self.sign.map(|sign| sign * (hours * 60 + minutes));
        Some(Shown { year, month, day, time, ahead })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shanghai() -> Calendar {
        Calendar::with_offset_minutes(480).unwrap()
    }

    #[test]
    fn texts_are_read_as_javascript_reads_them() {
        // What Node says, eight hours ahead of UTC.
        let cases = [
            ("2031-12-31T10:00:00.000Z", Some("2031-12-31T10:00:00.000Z")),
            ("2031-12-31T10:00:00.123456+08:00", Some("2031-12-31T02:00:00.123Z")),
            ("2031-12-31T10:00:00+0800", Some("2031-12-31T02:00:00.000Z")),
            ("2031-12-31T10:00:00+08", None),
            ("2031-12-31t10:00z", Some("2031-12-31T10:00:00.000Z")),
            ("2031-12-31", Some("2031-12-31T00:00:00.000Z")),
            ("2031-12", Some("2031-12-01T00:00:00.000Z")),
            ("2031-", Some("2030-12-31T16:00:00.000Z")),
            ("2031", Some("2031-01-01T00:00:00.000Z")),
            ("2031-12-31T10:00", Some("2031-12-31T02:00:00.000Z")),
            ("2031-12-31T24:00", Some("2031-12-31T16:00:00.000Z")),
            ("2031-12-31T24:01", None),
            ("2031-12-31T10:60", None),
            ("2031-12-31T10:00.5", None),
            ("+012031-01-01T00:00Z", Some("+12031-01-01T00:00:00.000Z")),
            ("-000000-01-01T00:00Z", None),
            ("2031-12-31 10:00:00", Some("2031-12-31T02:00:00.000Z")),
            ("2031-12-31 10:00:00.5", Some("2031-12-31T02:00:00.500Z")),
            ("2031-12-31 10:00:00Z", Some("2031-12-31T10:00:00.000Z")),
            ("2031-12-31 10:00:00 +0800", Some("2031-12-31T02:00:00.000Z")),
            (" 2031-12-31", Some("2031-12-30T16:00:00.000Z")),
            ("2031-1-5", Some("2031-01-04T16:00:00.000Z")),
            ("2028-02-31", Some("2028-03-02T00:00:00.000Z")),
            ("2028-13-01", None),
            ("2031/12/31", Some("2031-12-30T16:00:00.000Z")),
            ("2031/12/31 10:00", Some("2031-12-31T02:00:00.000Z")),
            ("12/31/2031", Some("2031-12-30T16:00:00.000Z")),
            ("12/31/31", Some("2031-12-30T16:00:00.000Z")),
            ("12/31/2031, 10:00:00 PM", Some("2031-12-31T14:00:00.000Z")),
            ("12/31/2031, 12:30:00\u{202f}AM", Some("2031-12-30T16:30:00.000Z")),
            ("31/12/2031", None),
            ("31.12.2031", None),
            ("12/31/2031 10:00.5", None),
            ("2031-12-31: 10:00", Some("2031-12-31T02:00:00.000Z")),
            ("Dec 31, 2031", Some("2031-12-30T16:00:00.000Z")),
            ("31 December 2031 10:00 GMT", Some("2031-12-31T10:00:00.000Z")),
            ("31-Dec-2031", Some("2031-12-30T16:00:00.000Z")),
            ("Dec 2031", Some("2031-11-30T16:00:00.000Z")),
            ("Wed, 31 Dec 2031 10:00:00 GMT", Some("2031-12-31T10:00:00.000Z")),
            ("Wed, 31 Dec 2031 10:00:00 -0530", Some("2031-12-31T15:30:00.000Z")),
            ("Wed, 31 Dec 2031 10:00:00 EST", Some("2031-12-31T15:00:00.000Z")),
            (
                "Wed Dec 31 2031 10:00:00 GMT+0800 (China Standard Time)",
                Some("2031-12-31T02:00:00.000Z"),
            ),
            ("Wed Dec 31 2031 10:00:00 GMT+0800 (中国标准时间)", Some("2031-12-31T02:00:00.000Z")),
            ("Wed Dec 31 2031 10:00:00 GMT+08:30", Some("2031-12-31T01:30:00.000Z")),
            ("Wed Dec 31 2031", Some("2031-12-30T16:00:00.000Z")),
            ("soon", None),
            ("soon 1", Some("2000-12-31T16:00:00.000Z")),
            ("2031年12月31日", None),
            ("1924819200000", None),
            ("", None),
            (" ", None),
            ("1960-01-01T00:00:00Z", Some("1970-01-01T00:00:00.000Z")),
            ("1/1/1960", Some("1970-01-01T00:00:00.000Z")),
            ("1/1/1970 10:00", Some("1970-01-01T02:00:00.000Z")),
            ("275761-01-01", None),
        ];
        for (text, moment) in cases {
            let read = parse(text, shanghai());
            assert_eq!(read.map(|moment| moment.to_string()).as_deref(), moment, "{text:?}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_that_of_a_place() {
        let berlin = Calendar::of_zone("Europe/Berlin").unwrap();
        let read = |text| parse(text, berlin).unwrap().to_string();
        assert_eq!(read("2030-07-01 12:00"), "2030-07-01T10:00:00.000Z");
        assert_eq!(read("2030/12/01 12:00"), "2030-12-01T11:00:00.000Z");
        assert_eq!(read("2030-12-01"), "2030-12-01T00:00:00.000Z");
        assert_eq!(read("12/1/275000"), parse("12/1/275000", Calendar::UTC).unwrap().to_string());
    }

    proptest! {
        #[test]
        fn what_to_iso_string_prints_reads_back(millis in 0_u64..253_402_300_800_000) {
            let moment = Timestamp::from_millis(millis);
            prop_assert_eq!(parse(&moment.to_string(), shanghai()), Some(moment));
        }

        #[test]
        fn what_to_string_prints_reads_back(seconds in 86_400_i64..253_402_214_400, ahead in -720_i64..=840) {
            let millis = |seconds: i64| u64::try_from(seconds * 1_000).unwrap();
            let moment = Timestamp::from_millis(millis(seconds));
            let shown = Timestamp::from_millis(millis(seconds + ahead * 60)).to_string();
            let month = MONTHS[shown[5..7].parse::<usize>().unwrap() - 1];
            let sign = if ahead < 0 { '-' } else { '+' };
            let offset = ahead.abs() / 60 * 100 + ahead.abs() % 60;
            let text = format!(
                "Day {month} {} {} {} GMT{sign}{offset:04} (somewhere)",
                &shown[8..10], &shown[..4], &shown[11..19]
            );
            prop_assert_eq!(parse(&text, Calendar::UTC), Some(moment), "{}", text);
        }

        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            parse(&text, shanghai());
        }

        #[test]
        fn no_text_of_such_parts_is_too_strange(
            parts in prop::collection::vec(
                prop_oneof![
                    "[0-9]{1,11}".prop_map(|digits| digits),
                    "[-+:./ ,TZ()]".prop_map(|symbol| symbol),
                    prop::sample::select(&["GMT", "Dec", "pm", "EST", "é"][..]).prop_map(str::to_owned),
                ],
                0..14,
            ),
        ) {
            let text = parts.concat();
            parse(&text, shanghai());
            parse(&text, Calendar::of_zone("Europe/Berlin").unwrap());
        }
    }
}
