{{/* The cache volume of a pool and what lives on it: weights in hf/, adapters in adapters/, compiled code in compile/. */}}
{{- define "firstword.cacheVolume" -}}
- name: cache
{{- if eq .cache.type "claim" }}
  persistentVolumeClaim: { claimName: {{ .fullname }} }
{{- else if eq .cache.type "existing" }}
  persistentVolumeClaim: { claimName: {{ .cache.existingClaim }} }
{{- else if eq .cache.type "perReplica" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        {{- include "firstword.claimSpec" (dict "cache" .cache "accessMode" "ReadWriteOnce") | nindent 8 }}
{{- else }}
  emptyDir: { sizeLimit: {{ .cache.size }} }
{{- end }}
{{- end -}}

{{- define "firstword.claimSpec" -}}
accessModes: [{{ .accessMode }}]
{{- with .cache.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests: { storage: {{ .cache.size }} }
{{- end -}}

{{/* docs/image.md has the reasons. Everything that writes, writes to /cache or /tmp. */}}
{{- define "firstword.cacheEnv" -}}
{{- $compiled := printf "/cache/compile/%s" .cacheKey -}}
- { name: HOME, value: {{ $compiled }}/home }
# For the user that has no name.
- { name: USER, value: firstword }
- { name: LOGNAME, value: firstword }
- { name: HF_HOME, value: /cache/hf }
- { name: VLLM_CACHE_ROOT, value: {{ $compiled }}/vllm }
- { name: TORCHINDUCTOR_CACHE_DIR, value: {{ $compiled }}/inductor }
- { name: TRITON_CACHE_DIR, value: {{ $compiled }}/triton }
- { name: FLASHINFER_WORKSPACE_BASE, value: {{ $compiled }}/flashinfer }
- { name: CUDA_CACHE_PATH, value: {{ $compiled }}/cuda }
- { name: VLLM_NO_USAGE_STATS, value: "1" }
- { name: HF_HUB_DISABLE_TELEMETRY, value: "1" }
{{- end -}}

{{/* Where an adapter is on the cache volume. */}}
{{- define "firstword.adapterPath" -}}
{{- .path | default (printf "/cache/adapters/%s/%s" .name (.revision | default "main" | replace "/" "-")) -}}
{{- end -}}

{{- define "firstword.fetchArgs" -}}
- fetch
{{- if .isHub }}
- {{ .model.name }}
{{- with .model.revision }}
- --revision={{ . }}
{{- end }}
{{- else }}
- {{ .model.name }}
{{- end }}
{{- range .adapters }}
{{- if .repo }}
- --adapter={{ .name }}={{ .repo }}{{ with .revision }}@{{ . }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}
