import ServiceKit
import Testing

@Suite struct DigestTests {
    /// FIPS 180-2, appendix B.
    @Test func theStandardsVectorsComeOut() {
        #expect(Digest.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(Digest.sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test func listsThatReadAlikeDiffer() {
        #expect(Digest.sha256(["ab", "c"]) != Digest.sha256(["a", "bc"]))
        #expect(Digest.sha256(["1:a"]) != Digest.sha256(["", "a"]))
    }
}
