//! Users by their names.

use crate::escape::shown;

/// The name of a user, or the number if /etc/passwd has none.
pub fn user_name(user: u32) -> String {
    let number = user.to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&*number)).then(|| shown(name).to_string())
    });
    name.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_else_the_number() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(u32::MAX - 1), "4294967294");
    }
}
