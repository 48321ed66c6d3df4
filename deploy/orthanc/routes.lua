-- Which of Orthanc's routes each account may use; what does not stand here is refused, whoever asks.
-- Orthanc calls IncomingHttpRequestFilter for every HTTP request, after it has checked the password. The path comes
-- without the query and with its escapes undone; the method is the one that counts, also where a header or the query
-- asks for another one than the request line. Patterns hold the whole path, so no spelling of another one fits.
-- C-STORE is no HTTP: DicomModalities decides about that.

local PARTS = {
  id = '[%x%-]+',       -- Orthanc's own identifier
  n = '%d+',            -- a frame
  bulk = '[%x/]+',      -- an attribute, perhaps in a sequence
  uid = '%d[%d.]*',     -- a DICOM UID: no path of dots
}

local PARKED = '/instances/{id}/metadata/1024'  -- what an upload leaves there while the broker is away

local IMAGE = '/dicom-web/studies/{uid}/series/{uid}/instances/{uid}'

local ROUTES = {
  upload = {
    'POST /instances',
    'GET /instances/{id}/attachments/dicom/md5',  -- is what was stored already the same?
    'GET /instances/{id}/file',
    'GET ' .. PARKED,
    'PUT ' .. PARKED,                             -- see MUST_SAY: only where none stands
    'GET /changes',                               -- readiness
  },
  registration = {
    'GET /changes',
    'GET /statistics',
    'GET /instances',
    'GET /instances/{id}',
    'GET /instances/{id}/series',
    'GET /instances/{id}/study',
    'GET /instances/{id}/simplified-tags',
    'GET /instances/{id}/attachments/dicom/md5',
    'GET ' .. PARKED,
    'DELETE ' .. PARKED,
    'POST /tools/bulk-content',                   -- reads only, as a POST for its long list of ids
    'POST /tools/lookup',                         -- reads only
  },
  preview = {
    'GET /changes',                               -- readiness
    'GET /instances/{id}/attachments/dicom/md5',
    'GET /instances/{id}/attachments/dicom/size',
    'GET /instances/{id}/file',
    'GET /instances/{id}/frames',
    'GET /instances/{id}/frames/{n}/preview',
    'GET /instances/{id}/frames/{n}/rendered',
    'GET /instances/{id}/frames/{n}/raw',
    'GET /instances/{id}/metadata/TransferSyntax',
    -- By DICOMweb (PS3.18): searches, and of one image what no route by Orthanc's id gives.
    'GET /dicom-web/studies',
    'GET /dicom-web/series',
    'GET /dicom-web/instances',
    'GET ' .. IMAGE,
    'GET ' .. IMAGE .. '/metadata',
    'GET ' .. IMAGE .. '/frames/{n}',
    'GET ' .. IMAGE .. '/bulk/{bulk}',
  },
}

-- Headers without which a route is refused. An entity tag that no value has: a context that stands there is never
-- replaced (shared/orthanc.py).
local MUST_SAY = {
  ['upload PUT ' .. PARKED] = { name = 'if-match', value = '"0-none"' },
}

local function pattern(route)
  local escaped = string.gsub(route, '[%-%.]', '%%%0')
  return '^' .. string.gsub(escaped, '{(%a+)}', PARTS) .. '$'
end

local rules = {}
for user, routes in pairs(ROUTES) do
  rules[user] = {}
  for _, route in ipairs(routes) do
    table.insert(rules[user], { pattern = pattern(route), must = MUST_SAY[user .. ' ' .. route] })
  end
end

local function may(user, asked, headers)
  for _, rule in ipairs(rules[user] or {}) do
    if string.find(asked, rule.pattern) then
      return rule.must == nil or headers[rule.must.name] == rule.must.value
    end
  end
  return false
end

function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  local asked = method .. ' ' .. uri
  if username == 'admin' or may(username, asked, httpHeaders) then
    return true
  end
  -- One line in Orthanc's log, which no one can break or fill by what they ask for.
  print('route refused: ' .. username .. ' ' .. string.sub(string.gsub(asked, '[^%w/%-_. ]', '?'), 1, 200))
  return false
end
