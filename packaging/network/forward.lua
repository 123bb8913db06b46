-- Orthanc sends the films of each stable series to the node. Results of the node come back in series of their own,
-- which name their maker and are left out: nothing is sent in circles.
-- Research demonstration only. Not intended for medical diagnosis.

-- What the node takes: CR, DX for presentation and for processing, Secondary Capture and its multi-frame kinds.
local FILMS = {
   ['1.2.840.10008.5.1.4.1.1.1'] = true,
   ['1.2.840.10008.5.1.4.1.1.1.1'] = true,
   ['1.2.840.10008.5.1.4.1.1.1.1.1'] = true,
   ['1.2.840.10008.5.1.4.1.1.7'] = true,
   ['1.2.840.10008.5.1.4.1.1.7.2'] = true,
   ['1.2.840.10008.5.1.4.1.1.7.3'] = true,
   ['1.2.840.10008.5.1.4.1.1.7.4'] = true
}
local MAKER = 'pneumocascade'

function OnStableSeries(seriesId, tags, metadata)
   if tags['Manufacturer'] == MAKER then
      return
   end

   local films = {}
   for _, instance in ipairs(ParseJson(RestApiGet('/series/' .. seriesId))['Instances']) do
      if FILMS[RestApiGet('/instances/' .. instance .. '/metadata/SopClassUid')] then
         table.insert(films, instance)
      end
   end

   if #films > 0 then
      -- A job of its own: Orthanc goes on meanwhile, and a job that failed can be submitted again.
      local job = {Resources = films, Asynchronous = true}
      RestApiPost('/modalities/node/store', DumpJson(job, true))
   end
end
