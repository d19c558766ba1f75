-- wrk's side of soak.py: posts PNG files in turn with changing classifiers, stops after a number of replies.
local requests, total, seen, bad = {}, tonumber(os.getenv("SOAK_REPLIES")), 0, 0
local classifiers = {"1", "2", "3", "deepest", "ensemble", "auto"}
local turn = 0

function init()
    local i = 0
    for path in io.popen("ls '" .. os.getenv("SOAK_IMAGES") .. "'"):lines() do
        local f = assert(io.open(os.getenv("SOAK_IMAGES") .. "/" .. path, "rb"))
        local body = f:read("*a")
        f:close()
        for _, c in ipairs(classifiers) do
            requests[#requests + 1] = wrk.format("POST", "/v1/classify?top=1", {
                ["Content-Type"] = "image/png", ["SLA-Classifier"] = c, ["Host"] = "soak"}, body)
        end
        i = i + 1
    end
    assert(i >= 100, "too few images")
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

function response(status, headers, body)
    seen = seen + 1
    if status ~= 200 or not body:find('"label"', 1, true) then bad = bad + 1 end
    if bad == 1 and status ~= 200 then io.stderr:write("first bad reply: ", status, " ", body, "\n") end
    if seen >= total then
        io.stderr:write(string.format("soak replies=%d bad=%d\n", seen, bad))
        wrk.thread:stop()
    end
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format("soak requests=%d seconds=%.2f connect=%d read=%d write=%d status=%d timeout=%d p50_ms=%.3f p99_ms=%.3f\n",
        summary.requests, summary.duration / 1e6, e.connect, e.read, e.write, e.status, e.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
