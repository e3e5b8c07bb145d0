internal import Foundation
internal import FoundationNetworking
internal import GridModel
internal import ServiceKit
internal import Store

/// Asks a running service for a verdict.
enum ValidationClient {
    struct Problem: Error, CustomStringConvertible {
        let description: String
    }

    private struct Detail: Decodable { var detail: String }

    /// Waits for the answer on the calling thread.
    static func ask(_ url: String, plan: [UInt8]) -> Result<Verdict, Problem> {
        guard let target = URL(string: url + "/v1/switching/validate") else {
            return .failure(Problem(description: "expected a URL like http://127.0.0.1:8080"))
        }
        var request = URLRequest(url: target, timeoutInterval: 60)
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.httpBody = Data(plan)
        let answer = Guarded<Result<Verdict, Problem>>(.failure(Problem(description: "no answer")))
        let gate = Gate()
        URLSession.shared.dataTask(with: request) { data, response, error in
            let result: Result<Verdict, Problem>
            let text = String(decoding: data ?? Data(), as: UTF8.self)
            if let error {
                result = .failure(Problem(description: error.localizedDescription))
            } else if let status = (response as? HTTPURLResponse)?.statusCode, status != 200 {
                let detail = try? JSONCoding.decode(Detail.self, text)
                result = .failure(Problem(description: "\(status): \(detail?.detail ?? text)"))
            } else if let verdict = try? JSONCoding.decode(Verdict.self, text) {
                result = .success(verdict)
            } else {
                result = .failure(Problem(description: "the answer is no verdict"))
            }
            answer.withLock { $0 = result }
            gate.open()
        }.resume()
        gate.wait()
        return answer.withLock { $0 }
    }
}
