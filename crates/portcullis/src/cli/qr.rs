//! An address as a QR code that a terminal can show.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Two modules in each character, dark on light whatever the terminal's colours are. `None`: too long for one.
pub(super) fn picture(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    // Scanners look for dark on light with a quiet zone; most terminals are light on dark, so that what is drawn is the
    // light.
    let picture = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .quiet_zone(true)
        .build();
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_square_with_a_quiet_zone() {
        let picture = picture("https://login.example.com/device?user_code=WDJB-MJHT").unwrap();
        let lines: Vec<Vec<char>> = picture.lines().map(|line| line.chars().collect()).collect();
        let width = lines[0].len();
        assert!(lines.iter().all(|line| line.len() == width));
        assert_eq!(lines.len(), width.div_ceil(2));
        // Four modules of light on every side: two lines, four columns.
        assert!(lines[..2].iter().flatten().all(|c| *c == '█'), "{picture}");
        assert!(
            lines.iter().all(|line| line[..4].iter().all(|c| *c != ' ')),
            "{picture}"
        );
        assert!(picture.contains(' ') && picture.contains('▀'));
        assert_eq!(super::picture(&"x".repeat(10_000)), None);
    }
}
