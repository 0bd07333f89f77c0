//! Card payments of a thousand accounts, some of them with stolen cards.

use super::{Draft, Odd, SECOND, START, numbered, rounded};
use crate::generate::column::Column;

impl Draft {
    pub(super) fn fraud(self) -> (Vec<Column>, Odd) {
        const CATEGORIES: [(&str, f64); 8] = [
            ("groceries", 38.0),
            ("fuel", 45.0),
            ("restaurant", 32.0),
            ("clothing", 60.0),
            ("electronics", 180.0),
            ("travel", 320.0),
            ("online", 48.0),
            ("pharmacy", 22.0),
        ];
        const COUNTRIES: [&str; 8] = ["US", "GB", "DE", "FR", "ES", "BR", "IN", "JP"];
        const MERCHANTS: u64 = 200;
        let odd = self.odd(1);
        let (accounts, merchants) = (self.stream("account"), self.stream("merchant"));
        let (amounts, jitter) = (self.stream("amount"), self.stream("timestamp"));
        let (countries, present) = (self.stream("country"), self.stream("card_present"));
        // A few accounts and merchants see most of the payments.
        let account = move |row| (1000.0 * accounts.unit(row).powi(2)) as u64;
        let merchant = move |row| (MERCHANTS as f64 * merchants.unit(row).powf(1.5)) as u64;
        let category = |merchant: u64| (merchant % CATEGORIES.len() as u64) as usize;
        let columns = vec![
            Column::times("timestamp", move |row| {
                let quarter = SECOND / 4;
                START + row as i64 * quarter + jitter.below(row, quarter as u64) as i64
            }),
            Column::whole("transaction", |row| row as i64 + 1),
            Column::texts("account", numbered("account-", 1000), move |row| {
                account(row) as usize
            }),
            Column::texts("merchant", numbered("merchant-", MERCHANTS), move |row| {
                merchant(row) as usize
            }),
            Column::texts("category", CATEGORIES.map(|(name, _)| name), move |row| {
                category(merchant(row))
            }),
            Column::texts("country", COUNTRIES, move |row| {
                let home = countries.below(account(row), 8);
                let away = odd.at(row) || countries.hit(row + 1000, 0.06);
                let further = if away {
                    1 + countries.below(row + 1000, 7)
                } else {
                    0
                };
                ((home + further) % 8) as usize
            }),
            Column::flags("card_present", move |row| {
                !odd.at(row) && present.hit(row, 0.7)
            }),
            Column::numbers("amount", move |row| {
                let typical = CATEGORIES[category(merchant(row))].1;
                let stolen = 1.0 + odd.size(row, 0, 1);
                rounded(
                    (typical * (0.6 * amounts.normal(row)).exp() * stolen).max(0.01),
                    100.0,
                )
            }),
        ];
        (columns, odd)
    }
}
