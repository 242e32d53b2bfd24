{{/* Pods of the check and the load test: the small image, with the security context of the service's pods. */}}
{{- define "firstword.toolsPod" -}}
serviceAccountName: {{ include "firstword.fullname" . }}
automountServiceAccountToken: false
# A Service named firstword-… would put FIRSTWORD_… variables into the pod.
enableServiceLinks: false
restartPolicy: Never
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tools.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tools.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "firstword.podSecurity" . | nindent 2 }}
{{- end -}}

{{- define "firstword.toolsContainer" -}}
image: {{ include "firstword.image" (dict "root" . "image" .Values.tools.image "kind" "tools") | quote }}
imagePullPolicy: {{ .Values.tools.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "firstword.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .Values.tools.resources | nindent 2 }}
{{- end -}}

{{- define "firstword.toolsEnv" -}}
- { name: HOME, value: /tmp }
- name: FIRSTWORD_API_KEY
  valueFrom:
    secretKeyRef: { name: {{ include "firstword.keysSecret" . | quote }}, key: {{ .Values.keys.plainKey | quote }} }
{{- end -}}

{{/*
An init container that ends when the pool is ready. Takes {root, pool, seconds}, where seconds is the longest wait. It needs three positive
answers in a row, because a pod that an upgrade is about to end may still give one.
*/}}
{{- define "firstword.waitForPool" -}}
- name: wait
  {{- include "firstword.toolsContainer" .root | nindent 2 }}
  command:
    - python
    - -uc
    - |
      import http.client, sys, time, urllib.request
      url, seconds, pause = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
      began, ready, printed = time.monotonic(), 0, None
      while ready < 3:
          passed = time.monotonic() - began
          try:
              with urllib.request.urlopen(url, timeout=5):
                  ready += 1
          except (OSError, http.client.HTTPException) as error:
              ready, seen = 0, f"{url}: {error}"
              if passed > seconds:
                  sys.exit(f"given up after {passed:.0f} s: {seen}")
              if printed is None or passed - printed >= 30:
                  printed = passed
                  print(f"not ready after {passed:.0f} s of {seconds:.0f} s: {seen}")
          time.sleep(pause)
      print(f"ready: {url}")
  args: [{{ printf "%s/readyz" .pool.service | quote }}, {{ .seconds | quote }}, "5"]
  volumeMounts:
    - { name: tmp, mountPath: /tmp }
{{- end -}}
