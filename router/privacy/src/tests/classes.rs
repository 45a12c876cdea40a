//! Each class: what has its form, and what only looks like it.

use crate::{Class, ClassSet, detect};

/// What of one class a text holds.
fn found(class: Class, text: &str) -> Vec<&str> {
    detect::find(text, ClassSet::of(&[class])).into_iter().map(|finding| &text[finding.range]).collect()
}

/// Each text holds exactly the one value in it.
fn holds(class: Class, cases: &[(&str, &str)]) {
    for (text, value) in cases {
        assert_eq!(found(class, text), [*value], "{class:?} in {text:?}");
    }
}

fn holds_none(class: Class, cases: &[&str]) {
    for text in cases {
        assert_eq!(found(class, text), [""; 0], "{class:?} in {text:?}");
    }
}

#[test]
fn an_address_for_mail_is_found_with_what_belongs_to_it() {
    holds(
        Class::Email,
        &[
            ("Write to jane.doe+x@mail.example.com.", "jane.doe+x@mail.example.com"),
            ("<o'hara@example.ie>", "o'hara@example.ie"),
            ("mailto:a_b-c@sub.example.museum?subject=x", "a_b-c@sub.example.museum"),
            ("j\u{fc}rgen@m\u{fc}ller.example,", "j\u{fc}rgen@m\u{fc}ller.example"),
            ("\"x@example.org\"", "x@example.org"),
            ("ask x@example.org.2 of them", "x@example.org"),
        ],
    );
    holds_none(
        Class::Email,
        &["@example.com", "a@b", "npm i left-pad@1.3.0", "a @ b.com", "a..b@", "@@", "user@host:22"],
    );
}

#[test]
fn a_card_needs_issuer_length_and_check_digit() {
    holds(
        Class::Card,
        &[
            ("4111 1111 1111 1111", "4111 1111 1111 1111"),
            ("card=5555555555554444;", "5555555555554444"),
            ("378282246310005", "378282246310005"),
            ("6011-1111-1111-1117 exp 12/29", "6011-1111-1111-1117"),
            ("12 4242424242424242", "4242424242424242"),
            ("3530111333300000", "3530111333300000"),
            ("a,30569309025904,b", "30569309025904"),
        ],
    );
    holds_none(
        Class::Card,
        &["4111 1111 1111 1112", "1234567812345670", "41111111111111111", "x4111111111111111", "4111-1111 1111-1111"],
    );
}

#[test]
fn an_account_needs_its_countrys_length_and_its_check_digits() {
    holds(
        Class::Iban,
        &[
            ("DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
            ("GB29NWBK60161331926819.", "GB29NWBK60161331926819"),
            ("fr1420041010050500013m02606", "fr1420041010050500013m02606"),
            ("MT84MALT011000012345MTLCAST001S", "MT84MALT011000012345MTLCAST001S"),
            ("NO93 8601 1117 947", "NO93 8601 1117 947"),
        ],
    );
    holds_none(
        Class::Iban,
        &["DE88370400440532013000", "DE8937040044053201300", "DE893704004405320130001", "ZZ8937040044", "DE89"],
    );
}

#[test]
fn a_social_security_number_has_dashes_or_a_name() {
    holds(
        Class::Ssn,
        &[
            ("078-05-1120", "078-05-1120"),
            ("SSN: 219 09 9999", "219 09 9999"),
            ("his social security number is 219099999", "219099999"),
        ],
    );
    holds_none(
        Class::Ssn,
        &[
            "000-12-3456",
            "666-12-3456",
            "900-12-3456",
            "123-00-4567",
            "123-45-0000",
            "219099999",
            "078-05-1120-4",
            "1078-05-1120",
        ],
    );
}

#[test]
fn an_address_of_the_internet_is_one_of_a_machine() {
    holds(
        Class::IpAddress,
        &[
            ("from 203.0.113.9.", "203.0.113.9"),
            ("http://10.1.2.3:8080/", "10.1.2.3"),
            ("2001:db8:85a3::8a2e:370:7334", "2001:db8:85a3::8a2e:370:7334"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("dst fe80::1ff:fe23:4567:890a, up", "fe80::1ff:fe23:4567:890a"),
            ("net 192.0.2.0/24", "192.0.2.0"),
        ],
    );
    holds_none(
        Class::IpAddress,
        &[
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "version 1.2.3.4",
            "rv:1.9.2.20",
            "v1.2.3.4",
            "std::io::Read",
            "a::b",
            "12:30:45",
            "ff02::1",
            "00:1b:44:11:3a:b7",
        ],
    );
}

#[test]
fn a_telephone_has_a_plus_a_form_or_a_word_before_it() {
    holds(
        Class::Phone,
        &[
            ("+49 30 901820", "+49 30 901820"),
            ("call +1 (212) 555-0100 now", "+1 (212) 555-0100"),
            ("(212) 555-0100", "(212) 555-0100"),
            ("212-555-0100", "212-555-0100"),
            ("1.212.555.0100,", "1.212.555.0100"),
            ("Tel. 030/901820", "030/901820"),
            ("Telefon: (030) 90 18 20", "(030) 90 18 20"),
            ("my mobile is 07700 900123", "07700 900123"),
            ("Call me at 5550100!", "5550100"),
            ("212-555-0100x12.", "212-555-0100x12"),
            ("+1 212 555 0100 ext. 4,", "+1 212 555 0100 ext. 4"),
            ("le 05 87 07 71 22", "05 87 07 71 22"),
            ("(04483) 58219", "(04483) 58219"),
        ],
    );
    holds_none(
        Class::Phone,
        &[
            "1+2345678",
            "+1234567",
            "112-555-0100",
            "212-155-0100",
            "212-911-0100",
            "call on 2024-12-31",
            "tell 12345678",
            "order 2125550100",
            "phone 12",
            "212-555-0100-7",
            "1234567890123456",
        ],
    );
}

#[test]
fn numbers_of_states_prove_themselves() {
    holds(
        Class::NationalId,
        &[
            ("PESEL 44051401359", "44051401359"),
            ("85.07.30-033.28", "85.07.30-033.28"),
            ("811218-9876", "811218-9876"),
            ("19811218-9876", "19811218-9876"),
            ("1 84 12 76 451 089 46", "1 84 12 76 451 089 46"),
            ("DNI 12345678Z", "12345678Z"),
            ("NIE X1234567L.", "X1234567L"),
            ("131052-308T", "131052-308T"),
            ("160354-7307", "160354-7307"),
            ("AB 12 34 56 C", "AB 12 34 56 C"),
            ("AB123456C", "AB123456C"),
            ("CF: RSSMRA85T10A562S", "RSSMRA85T10A562S"),
            ("NHS number 943 476 5919", "943 476 5919"),
            ("BSN: 111222333", "111222333"),
            ("IdNr. 86 095 742 719", "86 095 742 719"),
        ],
    );
    holds_none(
        Class::NationalId,
        &[
            "44051401358",
            "811218-9875",
            "12345678A",
            "X1234567A",
            "131052-308U",
            "GB123456C",
            "RSSMRA85T10A562T",
            "943 476 5919",
            "NHS 943 476 5918",
            "111222333",
            "BSN 111222334",
            "IdNr 86095742718",
        ],
    );
}

#[test]
fn numbers_of_patients_and_days_of_birth_have_a_word_before_them() {
    holds(
        Class::MedicalRecord,
        &[
            ("MRN: 00123456", "00123456"),
            ("medical record number is A-778812.", "A-778812"),
            ("Patient ID #55012", "55012"),
        ],
    );
    holds_none(Class::MedicalRecord, &["00123456", "the MRN is unknown, 12345 others", "patient 123456", "MRN 12"]);
    holds(
        Class::HealthPlan,
        &[
            ("Member ID: XYZ123456789", "XYZ123456789"),
            ("1EG4-TE5-MK73", "1EG4-TE5-MK73"),
            ("1EG4TE5MK73", "1EG4TE5MK73"),
        ],
    );
    holds_none(Class::HealthPlan, &["1SG4TE5MK73", "1EG4-TE5-MK7", "remember id 123456"]);
    holds(
        Class::BirthDate,
        &[
            ("DOB: 05/12/1980", "05/12/1980"),
            ("born in Amsterdam on 3 May 1980", "3 May 1980"),
            ("date of birth 1980-05-12", "1980-05-12"),
            ("geboren am 12. M\u{e4}rz 1980", "12. M\u{e4}rz 1980"),
            ("n\u{e9}e le 1er f\u{e9}vrier 1990", "1er f\u{e9}vrier 1990"),
            ("nacido el 3 de mayo de 1980", "3 de mayo de 1980"),
            ("Born May 12, 1980, in Rome", "May 12, 1980"),
            ("geb. 12.5.80", "12.5.80"),
        ],
    );
    holds_none(
        Class::BirthDate,
        &["05/12/1980", "born in 1980", "born on 45/45/1980", "stubborn 05/12/1980", "born\n05/12/1980"],
    );
}

#[test]
fn of_two_that_overlap_the_one_that_proves_more_stays() {
    let all = ClassSet::of(&Class::ALL);
    let classes = |text: &str| detect::find(text, all).into_iter().map(|finding| finding.class).collect::<Vec<_>>();
    assert_eq!(classes("call 4111 1111 1111 1111"), [Class::Card]);
    assert_eq!(classes("NHS 943 476 5919"), [Class::NationalId]);
    assert_eq!(classes("mail 5550100@example.com or phone 5550100"), [Class::Email, Class::Phone]);
    assert_eq!(classes("MRN 219-09-9999"), [Class::MedicalRecord]);
}

proptest::proptest! {
    #[test]
    fn findings_are_in_order_apart_and_on_letters(text in "\\PC{0,60}|[0-9a-fA-F@+.:() \u{e9}\n-]{0,60}|(born|tel|mrn|call) [0-9/. -]{0,30}") {
        let mut end = 0;
        for finding in detect::find(&text, ClassSet::of(&Class::ALL)) {
            proptest::prop_assert!(finding.range.start >= end && finding.range.start < finding.range.end);
            proptest::prop_assert!(text.get(finding.range.clone()).is_some());
            end = finding.range.end;
        }
    }
}
